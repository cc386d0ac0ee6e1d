"""The rules a slice breaks as a whole: too many nulls or outliers, one category too frequent, values that moved.

A share counts as too large when it is so with near certainty for the number of rows there are (one-sided binomial
test), so that the few rows of a quiet hour raise no alarm.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import log, sqrt

import polars as pl
from scipy.stats import binom

from esteira.contract import CREATED, RawTable
from esteira.data.finding import Finding, Outcome
from esteira.data.schema import ColumnSchema, TableSchema
from esteira.errors import DataError

_LIKELY, _CERTAIN = 1e-2, 1e-5
"""A share this improbable under its limit is told of; one this improbable breaks the rule."""
FEWEST_ROWS = 100
"""Fewer rows say nothing about how values are spread."""
_BINS = 33
"""The most bins a column's values are compared in (monitoring/bins.py)."""


def judge_slice(
    kept: pl.DataFrame,
    table: RawTable,
    schema: TableSchema,
    *,
    distances: Mapping[str, float],
    measured: int,
    after: datetime | None,
    until: datetime,
) -> tuple[Finding, ...]:
    """Apply every slice rule of ``schema`` to ``kept``: the rows of slice ``(after, until]`` that break no row rule.

    ``distances`` says for each column how far its values, of ``measured`` rows, lie from those of the version before;
    a column it lacks has no earlier version.
    """
    found = [*_shares(kept, table, schema)]
    for name, column in schema.columns.items():
        if column.shift is not None and name in distances and measured >= FEWEST_ROWS:
            found.append(_shift(measured, table, name, column.shift, distances[name], schema))
    silence = _silence(kept, table, schema, after, until)
    return tuple(found if silence is None else [*found, silence])


def judge_quarantined(table: RawTable, schema: TableSchema, *, arrived: int, quarantined: int) -> Finding:
    """Fail when so many rows offend that the source has changed, rather than some rows of it."""
    share = quarantined / max(1, arrived)
    too_many = share > schema.quarantined_share and quarantined > 10
    return Finding(
        table=table.name, column="*", rule="quarantined share", outcome="fail" if too_many else "pass",
        expected=f"at most {schema.quarantined_share:.1%} of the rows", found=f"{share:.1%}", rows=quarantined,
    )  # fmt: skip


def require_none_failed(table: str, until: datetime, findings: tuple[Finding, ...]) -> None:
    """Raise DataError naming every rule that failed."""
    failed = [each for each in findings if each.outcome == "fail"]
    if failed:
        listed = "\n  ".join(str(each) for each in failed)
        raise DataError(
            f"The slice of table {table!r} until {until.isoformat()} was not written, because\n  {listed}\n"
            "Mend the source and run the ingest flow again: it continues from the last good slice. If the data is "
            "right and the schema is not, propose a new one and read the difference: esteira data schema propose"
        )


def _shares(kept: pl.DataFrame, table: RawTable, schema: TableSchema) -> Iterator[Finding]:
    """The findings about shares of rows, counted in one pass."""
    limited: dict[tuple[str, str], float] = {}
    counts: list[pl.Expr] = []
    for name, column in schema.columns.items():
        for rule, limit, count in _counted(name, column):
            limited[name, rule] = limit
            counts.append(count.alias(f"{name} {rule}"))
    found = kept.select(counts).row(0) if counts else ()
    for ((name, rule), limit), count in zip(limited.items(), found, strict=True):
        yield _share(table, name, rule, int(count or 0), kept.height, limit, schema)


def _counted(name: str, column: ColumnSchema) -> Iterator[tuple[str, float, pl.Expr]]:
    value = pl.col(name)
    if not column.required and column.null_share < 1:
        yield "null share", column.null_share, value.null_count()
    if column.fences is not None:
        low, high = column.fences
        yield "outliers", column.outlier_share, ((value < low) | (value > high)).sum()
    if column.largest_share is not None:
        yield "balance", column.largest_share, value.drop_nulls().unique_counts().max()


def _share(table: RawTable, name: str, rule: str, count: int, rows: int, limit: float, schema: TableSchema) -> Finding:
    chance = float(binom.sf(count - 1, rows, limit)) if rows and count > limit * rows else 1.0
    outcome: Outcome = "pass"
    if chance < _CERTAIN:
        outcome = schema.policy.get(rule, "fail")
    elif chance < _LIKELY:
        outcome = "warn"
    return Finding(
        table=table.name, column=name, rule=rule, outcome=outcome, expected=f"at most {limit:.1%}",
        found=f"{count / max(1, rows):.1%} of {rows} rows", rows=count,
    )  # fmt: skip


def _shift(rows: int, table: RawTable, name: str, limit: float, distance: float, schema: TableSchema) -> Finding:
    # What the distance between a sample and its source is by chance alone (the divergence is chi-square / 8n ln 2).
    bound = limit + sqrt(_BINS / (8 * rows * log(2)))
    outcome: Outcome = schema.policy.get("shift", "fail") if distance > bound else "pass"
    return Finding(
        table=table.name, column=name, rule="shift", outcome=outcome, rows=rows,
        expected=f"a distance of at most {bound:.2f} from the version before", found=f"{distance:.2f}",
    )  # fmt: skip


def _silence(
    kept: pl.DataFrame, table: RawTable, schema: TableSchema, after: datetime | None, until: datetime
) -> Finding | None:
    if schema.silence_hours is None:
        return None
    newest = kept[CREATED].max() if kept.height else after
    if not isinstance(newest, datetime):
        return None
    silent = until - newest
    broken = silent > timedelta(hours=schema.silence_hours)
    return Finding(
        table=table.name, column=CREATED, rule="silence", outcome=schema.policy.get("silence", "warn") if broken
        else "pass", expected=f"a record within {schema.silence_hours:g} h", rows=kept.height,
        found=f"none for {silent.total_seconds() / 3600:.1f} h until {until.isoformat()}",
    )  # fmt: skip
