"""Make SQLite forget what was deleted: by itself it keeps it in free pages and in its write-ahead log."""

import sqlite3

from esteira.errors import FeatureError


def wipe_deleted(connection: sqlite3.Connection) -> None:
    """Rewrite the database without free space and empty its log; needs as much free disk as the database has.

    Raises FeatureError when somebody reads for so long that the log cannot be emptied.
    """
    connection.execute("VACUUM")
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise FeatureError(
            "What was deleted is still in a database's write-ahead log, because another program reads the database. "
            "Run it again: repeating is safe."
        )
