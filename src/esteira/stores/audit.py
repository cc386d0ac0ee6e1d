"""The audit log: who did what to data, models, releases and access rights, when and why. Entries are only appended.

It stands beside the release ledger in one database, so a release and its entry are one transaction. The database
refuses updates and deletions; should somebody get around that, the chain of digests shows it (``verify``). The head of
the chain is also kept as a file in the home, because a chain does not show that its end was cut off.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from esteira.errors import AlteredLog
from esteira.settings import settings
from esteira.stewardship.audit_chain import GENESIS, AuditEntry, Deed, Head, faults, link
from esteira.stores import database
from esteira.stores.database import Moment

_metadata = sa.MetaData()
_entries = sa.Table(
    "audit",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.Column("as_of", Moment, nullable=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    # Two entries cannot follow the same one, whatever a writer believes.
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False),
    info=database.APPEND_ONLY,
)


def record(deed: Deed) -> None:
    """Append ``deed`` to the log."""
    with transaction(_metadata) as connection:
        write(connection, deed)


@contextmanager
def transaction(metadata: sa.MetaData) -> Iterator[sa.Connection]:
    """As ``database.transaction``, for work whose deeds are to be written with it: both are kept or neither."""
    with database.transaction(_metadata, metadata) as connection:
        yield connection
    _keep_head(head())


def write(connection: sa.Connection, deed: Deed) -> AuditEntry:
    """Append ``deed`` within a ``transaction``, which waits for any other writer of the log."""
    database.lock(connection, _entries)
    newest = connection.execute(sa.select(_entries).order_by(_entries.c.id.desc()).limit(1)).one_or_none()
    previous = Head(count=newest.id, digest=newest.digest) if newest else Head(count=0, digest=GENESIS)
    entry = link(deed, previous=previous, recorded_at=datetime.now(UTC))
    connection.execute(sa.insert(_entries).values(**entry.model_dump()))
    return entry


def entries(
    *,
    subject: str | None = None,
    action: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    newest: int | None = None,
) -> list[AuditEntry]:
    """Entries, oldest first: those whose subject contains ``subject``, by ``actor``, recorded ``since``, …

    ``newest`` keeps only so many of the newest.
    """
    query = sa.select(_entries).order_by(_entries.c.id.desc()).limit(newest)
    if subject is not None:
        query = query.where(_entries.c.subject.contains(subject, autoescape=True))
    if action is not None:
        query = query.where(_entries.c.action == action)
    if actor is not None:
        query = query.where(_entries.c.actor == actor)
    if since is not None:
        query = query.where(_entries.c.recorded_at >= since)
    with database.transaction(_metadata) as connection:
        return [AuditEntry(**row._mapping) for row in connection.execute(query)][::-1]


def head() -> Head:
    """The head of the log as it is in the database."""
    newest = entries(newest=1)
    return Head(count=newest[0].id, digest=newest[0].digest) if newest else Head(count=0, digest=GENESIS)


def verify(kept: Head | None = None) -> Head:
    """Walk the whole log and return its head, to be kept where nobody who can write the database can write.

    ``kept`` is such a head from earlier. Raises AlteredLog with every fault found.
    """
    heads = {} if kept is None else {"the head you kept": kept}
    if _head_file().is_file():
        heads[f"the file {_head_file().name}"] = Head.parse(_head_file().read_text())
    try:
        log = entries()
    except ValueError as error:  # Pydantic's and JSON's: a value of another type than any writer writes
        raise AlteredLog(f"The audit log was altered: an entry cannot be read any more. {error}") from error
    found = faults(log, heads)
    if log and not _head_file().is_file() and settings().ledger_url is None:
        found = (*found, f"The file {_head_file()} that keeps the head of the log is gone.")
    if found:
        raise AlteredLog(
            f"The audit log of {len(log)} entries was altered. "
            + " ".join(found)
            + " Compare it with a backup of the database before anything else is written."
        )
    return Head(count=log[-1].id, digest=log[-1].digest) if log else Head(count=0, digest=GENESIS)


def _keep_head(newest: Head) -> None:
    # After the commit: a head kept before it would accuse a log whose writer was merely killed. Never backwards.
    path = _head_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_file() and Head.parse(path.read_text()).count >= newest.count:
            return
        staged = path.with_suffix(".new")
        with staged.open("w") as file:
            file.write(f"{newest}\n")
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)


def _head_file() -> Path:
    return settings().home / "audit.head"
