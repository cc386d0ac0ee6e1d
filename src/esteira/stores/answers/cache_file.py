"""The SQLite file of predictions made ahead: its tables, and how it is opened."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from esteira.settings import settings

_PAGE_BYTES = 16_384
"""A row takes some 500 bytes; with the default page size writing a batch took twice as long."""
_TABLES = ("batches", "shown", "made", "known")
_SCHEMA = (
    # views: a JSON list, in the order of the ages of each of the batch's predictions.
    "CREATE TABLE batches (batch INTEGER PRIMARY KEY, use_case TEXT NOT NULL, epoch TEXT NOT NULL, "
    "as_of TEXT NOT NULL, views TEXT NOT NULL, UNIQUE (use_case, epoch, as_of))",
    "CREATE TABLE shown (use_case TEXT, epoch TEXT, batch INTEGER NOT NULL, as_of TEXT NOT NULL, "
    "PRIMARY KEY (use_case, epoch)) WITHOUT ROWID",
    # given and missing: JSON; feature_ages: 64-bit floats, NaN for none.
    "CREATE TABLE made (batch INTEGER, entity_id TEXT, output REAL NOT NULL, given TEXT NOT NULL, "
    "feature_ages BLOB NOT NULL, missing TEXT NOT NULL, PRIMARY KEY (batch, entity_id)) WITHOUT ROWID",
    "CREATE TABLE known (use_case TEXT, entity_id TEXT, given TEXT NOT NULL, as_of TEXT NOT NULL, "
    "PRIMARY KEY (use_case, entity_id)) WITHOUT ROWID",
)
_VERSION = 2
"""A file of another version is emptied: the next batch fills it, and the Delta table keeps all."""


@contextmanager
def connection() -> Iterator[sqlite3.Connection]:
    """A connection for one look or one change; closed afterwards."""
    with closing(open_cache()) as cache:
        yield cache


@contextmanager
def writing() -> Iterator[sqlite3.Connection]:
    """One change: all of it is kept when the block ends, nothing when it raises."""
    with connection() as cache, cache:
        cache.execute("BEGIN IMMEDIATE")
        yield cache


def open_cache() -> sqlite3.Connection:
    """A connection to the file, with its tables made; several threads may use it in turn."""
    path = settings().home / "cached_predictions.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    cache.execute(f"PRAGMA page_size={_PAGE_BYTES}")  # of a file that is still to be made
    cache.execute("PRAGMA journal_mode=WAL")
    cache.execute("PRAGMA synchronous=NORMAL")
    if _version(cache) != _VERSION:
        with cache:
            cache.execute("BEGIN IMMEDIATE")
            if _version(cache) != _VERSION:  # and nobody else has made the tables meanwhile
                for table in _TABLES:
                    cache.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _SCHEMA:
                    cache.execute(statement)
                cache.execute(f"PRAGMA user_version={_VERSION}")
    return cache


def _version(cache: sqlite3.Connection) -> int:
    return int(cache.execute("PRAGMA user_version").fetchone()[0])
