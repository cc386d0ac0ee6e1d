"""SQL tables as a source: one query a table with a watermark column, declared and needing no code.

Any SQLAlchemy URL will do; PostgreSQL and SQLite are tested. Moments are UTC: PostgreSQL's sessions are set to it, and
columns without a time zone are read as it. The watermark must only grow with knowledge, as a column that a trigger or
default sets on insert does; a row that is committed later than its watermark says is found by its count and refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from esteira.contract import CREATED, EVENT, MOMENT, RawTable
from esteira.errors import DataError, InputError, MissingData, UnknownName, WrongColumns
from esteira.sources.location import location_of

_CHUNK = 50_000
_ISO = "____-__-__ __:__:__%"
"""How SQLAlchemy stores moments in SQLite; text of another form does not sort by time."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """How the records of one table are asked for."""

    table: RawTable
    query: str
    """A SELECT that gives the table's columns and the two moments, without any condition on time."""
    event: str
    """The column of the moment at which a record was true."""
    created: str
    """The watermark: the column of the moment at which it was known, best an indexed one."""

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """The columns the query must give."""
        return {**dict.fromkeys([self.event, self.created], MOMENT), **self.table.columns}


@dataclass(frozen=True, kw_only=True)
class SqlSource:
    """Answers what had arrived between two moments, from one database."""

    name: str
    queries: tuple[Query, ...]
    schema_file: Path
    url: str | None = None
    """Only for URLs without password; None: the operator says (ESTEIRA_SOURCE_LOCATIONS)."""

    @property
    def tables(self) -> tuple[RawTable, ...]:
        """The tables its queries give."""
        return tuple(each.table for each in self.queries)

    def span(self) -> tuple[datetime, datetime | None]:
        """From the first record on, without end. Raises MissingData when there is none."""
        firsts = []
        for query in self.queries:
            with self._asking(query) as (connection, records):
                first = connection.execute(sa.select(sa.func.min(records.c[query.created]))).scalar()
                firsts += [] if first is None else [_utc(first)]
        if not firsts:
            raise MissingData(
                f"The queries of source {self.name!r} give no record. Fill its tables, or mend its queries."
            )
        return min(firsts), None

    def read(self, table: str, after: datetime, until: datetime) -> pl.DataFrame:
        """The records of ``table`` with ``after < created_timestamp <= until``. Raises as ``count`` does."""
        query = self._named(table)
        with self._asking(query) as (connection, records):
            known = records.c[query.created]
            low, high = (_bound(connection, moment) for moment in (after, until))
            asked = sa.select(*(records.c[name] for name in query.columns)).where(known > low, known <= high)
            answer = connection.execution_options(yield_per=_CHUNK).execute(asked)
            parts = [_frame(chunk, query, self.name) for chunk in answer.partitions()]
        rows = pl.concat(parts) if parts else pl.DataFrame(schema=query.columns)
        timed = rows.with_columns(pl.col(query.event).alias(EVENT), pl.col(query.created).alias(CREATED))
        return timed.select(*query.table.schema).sort(CREATED, EVENT, *query.table.keys)

    def count(self, table: str, until: datetime) -> int:
        """How many records of ``table`` are known at ``until``.

        Raises:
            DataError: the query cannot be answered, or a record has no watermark.
            WrongColumns: a value is not of its column's declared type.
        """
        query = self._named(table)
        with self._asking(query) as (connection, records):
            known = records.c[query.created] <= _bound(connection, until)
            return int(connection.execute(sa.select(sa.func.count()).select_from(records).where(known)).scalar_one())

    def _named(self, table: str) -> Query:
        found: Mapping[str, Query] = {each.table.name: each for each in self.queries}
        if table not in found:
            raise UnknownName.among("table", table, found, f"They are declared by source {self.name!r}.")
        return found[table]

    @contextmanager
    def _asking(self, query: Query) -> Iterator[tuple[sa.Connection, sa.Subquery]]:
        columns = [sa.column(name, _sql_type(kind)) for name, kind in query.columns.items()]
        records = sa.text(query.query).columns(*columns).subquery("records")
        try:
            engine = sa.create_engine(location_of(self.name, self.url), poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
            raise InputError(
                f"The URL of source {self.name!r} is not one that SQLAlchemy opens here: {type(error).__name__}. "
                "Expected something like postgresql+psycopg://user:password@host/database, and its driver installed."
            ) from error
        try:
            with engine.connect() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.text("set time zone 'UTC'"))
                self._require_watermarks(connection, records, query)
                yield connection, records
        except (sa.exc.ProgrammingError, sa.exc.OperationalError) as error:
            if isinstance(error, sa.exc.OperationalError) and "no such" not in str(error):
                raise  # the database cannot be reached: the outside world may recover, and a step tries again
            raise DataError(
                f"Source {self.name!r} cannot answer the query of table {query.table.name!r}: {error.orig}. "
                f"Expected the columns {list(query.columns)}. Mend the query in the declaration."
            ) from error
        finally:
            engine.dispose()

    def _require_watermarks(self, connection: sa.Connection, records: sa.Subquery, query: Query) -> None:
        known = records.c[query.created]
        unusable: sa.ColumnElement[bool] = known.is_(None)
        if connection.dialect.name == "sqlite":
            unusable = sa.or_(unusable, sa.type_coerce(known, sa.String).not_like(_ISO))
        found = connection.execute(sa.select(sa.func.count()).select_from(records).where(unusable)).scalar_one()
        if found:
            raise DataError(
                f"{found} records of table {query.table.name!r} in source {self.name!r} have no usable "
                f"{query.created!r}: nobody can say when they were known. Expected a moment in every row (in SQLite as "
                "text such as '2024-03-01 12:00:00'). Mend them, or leave them out in the query."
            )


def _sql_type(kind: pl.DataType) -> sa.types.TypeEngine[Any]:
    if kind == MOMENT:
        return sa.DateTime()
    if kind == pl.Boolean:
        return sa.Boolean()
    if kind.is_integer():
        return sa.BigInteger()
    return sa.Float() if kind.is_float() else sa.String()


def _bound(connection: sa.Connection, moment: datetime) -> sa.BindParameter[datetime]:
    if connection.dialect.name == "postgresql":
        return sa.literal(moment, sa.DateTime(timezone=True))
    return sa.literal(moment.astimezone(UTC).replace(tzinfo=None), sa.DateTime())


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _frame(rows: Any, query: Query, source: str) -> pl.DataFrame:
    made = []
    for place, (name, kind) in enumerate(query.columns.items()):
        values = [row[place] for row in rows]
        if kind == MOMENT:
            values = [_utc(each) if isinstance(each, datetime) else each for each in values]
        try:
            made.append(pl.Series(name, values, dtype=kind, strict=True))
        except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
            raise WrongColumns(
                f"Column {name!r} of table {query.table.name!r} in source {source!r} holds other values than {kind}: "
                f"{error}. A changed type is never taken silently: mend the query (for example by a cast), or change "
                "the declaration and accept the changed schema."
            ) from error
    return pl.DataFrame(made)
