"""The database that holds the belt's decisions: releases, verdicts, retrain requests, the audit log.

SQLite in the home, or PostgreSQL by setting. Each store declares its own tables and gets them made here; tables marked
APPEND_ONLY refuse updates and deletions by a trigger.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from esteira.errors import MissingData
from esteira.settings import settings
from esteira.stores.disk import full_disk_told

APPEND_ONLY: dict[Any, Any] = {"append_only": True}
"""``info`` of a table whose rows the database itself must not let change."""
_met: set[str] = set()
"""Databases this process has used."""
_POSTGRES = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
"""A server that went away is noticed within seconds: services ask it twice a second what is live."""
_REFUSAL = "is append-only: rows are never changed or removed"


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware UTC moment as whole microseconds, because SQLite would drop the time zone."""

    impl = sa.BigInteger
    cache_ok = True
    _epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> int | None:
        """To microseconds since 1970."""
        return None if value is None else (value - self._epoch) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: sa.Dialect) -> datetime | None:
        """From microseconds since 1970."""
        return None if value is None else self._epoch + timedelta(microseconds=value)


@contextmanager
def transaction(*metadata: sa.MetaData) -> Iterator[sa.Connection]:
    """A connection whose writes are kept together when the block ends; the tables of all ``metadata`` exist.

    Raises DiskFull when there is no room for them; then none was kept.
    """
    url = settings().ledger
    _require_there(url)
    with full_disk_told(f"The record in {', '.join(table for each in metadata for table in each.tables)}"):
        for each in metadata:
            _prepare(url, each)
        with _engine(url).begin() as connection:
            yield connection


def _require_there(url: str) -> None:
    """A file that was there and is gone must not come back empty: everything would be forgotten in silence."""
    file = sa.make_url(url).database if url.startswith("sqlite") else None
    if file is None or url not in _met or Path(file).is_file():
        return
    _engine(url).dispose()  # what is put in its place is another file
    raise MissingData(
        f"The database {file} was there and is gone. Put it back, or restore it from a backup; a process that starts "
        "without it begins a new one."
    )


def lock(connection: sa.Connection, table: sa.Table) -> None:
    """Let no other transaction write ``table`` until this one ends: what is read now is still the newest then."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")
    elif not connection.connection.in_transaction:  # SQLite has one writer; a transaction that wrote is it already
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@lru_cache(maxsize=64)
def _prepare(url: str, metadata: sa.MetaData) -> None:
    with _engine(url).begin() as connection:
        if connection.dialect.name == "postgresql":  # several processes may meet a new database at once
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('esteira tables'))")
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            if table.info == APPEND_ONLY:
                _guard(connection, table.name)
    _met.add(url)  # not before it is there: of several who begin it at once, the others would miss it


def _guard(connection: sa.Connection, table: str) -> None:
    if connection.dialect.name != "postgresql":
        for event in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS {table}_refuses_{event.lower()} BEFORE {event} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} {_REFUSAL}'); END"
            )
        return
    connection.exec_driver_sql(
        "CREATE OR REPLACE FUNCTION esteira_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '%% {_REFUSAL}', TG_TABLE_NAME; END $$"
    )
    for event in ("UPDATE", "DELETE", "TRUNCATE"):
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER {table}_refuses_{event.lower()} BEFORE {event} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION esteira_refuse()"
        )


@lru_cache(maxsize=4)
def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True, connect_args=_POSTGRES if "postgres" in url else {})
    settings().home.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30})
    sa.event.listen(engine, "connect", _use_write_ahead_log)
    return engine


def _use_write_ahead_log(connection: Any, _record: Any) -> None:
    # Readers (every service, twice a second) must never wait for a writer.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
