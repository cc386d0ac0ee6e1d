"""The database that holds the belt's decisions: releases, verdicts, retrain requests.

SQLite in the home, or any SQLAlchemy URL by setting. Each store declares its own tables and gets them made here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from esteira.settings import settings


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
def transaction(metadata: sa.MetaData) -> Iterator[sa.Connection]:
    """A connection whose writes are kept together when the block ends; the tables of ``metadata`` exist."""
    with _prepared(settings().ledger, metadata).begin() as connection:
        yield connection


@lru_cache(maxsize=32)
def _prepared(url: str, metadata: sa.MetaData) -> sa.Engine:
    engine = _engine(url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:  # IF NOT EXISTS: several processes may meet a new database at once
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    return engine


@lru_cache(maxsize=4)
def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    settings().home.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30})
    sa.event.listen(engine, "connect", _use_write_ahead_log)
    return engine


def _use_write_ahead_log(connection: Any, _record: Any) -> None:
    # Readers (every service, twice a second) must never wait for a writer.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
