"""Check that records are what their table declares, before anything is written."""

from datetime import datetime

import polars as pl

from esteira.contract import CREATED, EVENT, RawTable
from esteira.errors import DataError, MomentOutsideData, WrongColumns
from esteira.model_card import Frozen


class Finding(Frozen):
    """One rule that some rows break."""

    table: str
    column: str
    rule: str
    expected: str
    found: str
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.table}.{self.column}: {self.rule}, expected {self.expected}, found {self.found} ({self.rows} rows)"
        )


def find_faults(rows: pl.DataFrame, table: RawTable, *, after: datetime | None, until: datetime) -> list[Finding]:
    """Every rule that ``rows``, read as the slice ``(after, until]`` of ``table``, breaks; empty when all is well.

    Raises WrongColumns when columns or types are not the declared ones: then no rule can be read.
    """
    if dict(rows.schema) != table.schema:
        raise WrongColumns(
            f"The source's rows for table {table.name!r} have the columns {dict(rows.schema)}, "
            f"but {table.schema} are declared. Mend the source, or change the declaration with its consumers."
        )
    nulls = [
        _finding(table, key, "a key is never null", "a value", "null", rows[key].null_count())
        for key in dict.fromkeys((*table.keys, EVENT, CREATED))
    ]
    numbers = [column for column, dtype in rows.schema.items() if dtype.is_float()]
    infinite = [
        _finding(table, column, "a number is finite", "finite", "inf or NaN", _count(rows, ~pl.col(column).is_finite()))
        for column in numbers
    ]
    outside = pl.col(CREATED) > until
    if after is not None:
        outside |= pl.col(CREATED) <= after
    span = f"({after.isoformat() if after else 'the start'}, {until.isoformat()}]"
    times = [
        _finding(table, CREATED, "a record lies in its slice", span, "outside", _count(rows, outside)),
        _finding(
            table, EVENT, "nothing is known before it is true", f"<= {CREATED}", "later",
            _count(rows, pl.col(EVENT) > pl.col(CREATED)),
        ),
    ]  # fmt: skip
    identity = list(dict.fromkeys((*table.keys, EVENT, CREATED)))
    doubled = rows.height - rows.select(identity).n_unique() if rows.height else 0
    unique = _finding(table, ", ".join(table.keys), "a record comes once", "unique", "repeated", doubled)
    return [each for each in (*nulls, *infinite, *times, unique) if each.rows]


def require_sound(rows: pl.DataFrame, table: RawTable, *, after: datetime | None, until: datetime) -> pl.DataFrame:
    """Return ``rows`` when no rule is broken; raise DataError naming every broken rule otherwise."""
    faults = find_faults(rows, table, after=after, until=until)
    if faults:
        listed = "\n  ".join(str(fault) for fault in faults)
        raise DataError(
            f"The slice of table {table.name!r} until {until.isoformat()} was not written, because\n  {listed}\n"
            "Mend the source and run the ingest flow again: it continues from the last good slice."
        )
    return rows


def require_within(as_of: datetime, span: tuple[datetime, datetime], source: str) -> datetime:
    """Return ``as_of`` when the source reaches it; raise MomentOutsideData otherwise."""
    first, last = span
    if not first <= as_of <= last:
        raise MomentOutsideData(
            f"as_of {as_of.isoformat()} lies outside what source {source!r} holds: "
            f"{first.isoformat()} to {last.isoformat()}. Choose a moment in between."
        )
    return as_of


def _finding(table: RawTable, column: str, rule: str, expected: str, found: str, rows: int) -> Finding:
    return Finding(table=table.name, column=column, rule=rule, expected=expected, found=found, rows=rows)


def _count(rows: pl.DataFrame, condition: pl.Expr) -> int:
    return int(rows.select(condition.fill_null(value=False).sum()).item())
