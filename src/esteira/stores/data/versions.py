"""What a version of a table holds, and how two versions differ: columns, rows, and how values are spread."""

import numpy as np
import polars as pl

from esteira.data.schema import describe_columns, kind_of
from esteira.model_card import Column, Frozen
from esteira.monitoring.distribution import Distribution, Profile
from esteira.monitoring.profile import build_profile, read_profile
from esteira.stores.data import statistics, tables
from esteira.stores.stewardship import sensitivity

_SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_FREQUENT = 20
_BARS = 12


class ColumnChange(Frozen):
    """How one column's values lie in two versions."""

    column: str
    distance: float
    """Jensen-Shannon distance, 0 (the same shares) to 1 (nothing in common)."""
    before: str
    after: str


class VersionDiff(Frozen):
    """What changed from one version of a table to another."""

    table: str
    before: int
    after: int
    rows: tuple[int, int]
    columns: tuple[str, ...]
    """Columns and types that changed, one sentence each."""
    changes: tuple[ColumnChange, ...]
    """Every column both versions have, the most changed first."""


def profile_at(table: str, version: int) -> Profile:
    """The profile of ``table`` at ``version``: the stored one, or for tables without, one made of the rows.

    Restricted columns and those that identify single things are left out. Raises as ``tables.read`` does.
    """
    if any(statistics.report(table, until) for made, until in tables.slices(table).items() if made <= version):
        return statistics.at_version(table, version)
    rows = tables.read(table, at_version=version)
    return read_profile(build_profile(rows, profiled_columns(rows, table)))


def profiled_columns(rows: pl.DataFrame, view: str) -> list[Column]:
    """The columns of ``rows`` a profile may show: no moments, nothing restricted, nothing that identifies."""
    kinds = {name: kind_of(rows[name]) for name in rows.columns if name not in sensitivity.restricted_columns()}
    return [
        Column(name=name, type="number" if kind == "number" else "category", view=view)
        for name, kind in kinds.items()
        if kind in ("number", "category")
    ]


def compare(table: str, before: int, after: int) -> VersionDiff:
    """How version ``after`` of ``table`` differs from version ``before``. Raises as ``tables.read`` does."""
    was, now = (tables.scan(table, at_version=version).collect_schema() for version in (before, after))
    old, new = profile_at(table, before), profile_at(table, after)
    moved = statistics.distances_between(old, new)
    return VersionDiff(
        table=table,
        before=before,
        after=after,
        rows=(tables.row_count(table, at_version=before), tables.row_count(table, at_version=after)),
        columns=tuple(describe_columns(was, now)),
        changes=tuple(
            ColumnChange(
                column=name, distance=distance, before=in_words(old.column(name)), after=in_words(new.column(name))
            )
            for name, distance in sorted(moved.items(), key=lambda each: (-each[1], each[0]))
        ),
    )


def figures(column: Distribution) -> dict[str, object]:
    """A column's values as plain figures: counts, and quantiles or the most frequent categories."""
    counts: dict[str, object] = {"count": column.count, "missing": column.missing, "infinite": column.infinite}
    if column.type == "category":
        frequent = sorted(column.categories.items(), key=lambda each: (-each[1], each[0]))
        return {**counts, "most_frequent": dict(frequent[:_FREQUENT])}
    quantiles = column.quantile(_SHARES)
    named = {f"{share:.0%}": float(value) for share, value in zip(_SHARES, quantiles, strict=False)}
    return {**counts, "mean": column.mean, "deviation": column.deviation, "quantiles": named}


def bars(column: Distribution) -> tuple[tuple[str, float], ...]:
    """Shares to be drawn, with their labels: of the most frequent categories, or of equal stretches of numbers."""
    if column.type == "category":
        frequent = sorted(column.categories.items(), key=lambda each: (-each[1], each[0]))
        return tuple((value, rows / column.count) for value, rows in frequent[:_BARS])
    if not column.quantiles.size:
        return ()
    counts, edges = np.histogram(column.quantiles, bins=_BARS)
    return tuple(
        (f"{low:,.4g} to {high:,.4g}", float(count) / column.quantiles.size)
        for count, low, high in zip(counts, edges, edges[1:], strict=False)
    )


def in_words(column: Distribution) -> str:
    """A column's values in one line: how many are missing, and the quartiles or the most frequent categories."""
    missing = f"{column.missing / max(1, column.count):.1%} missing"
    if column.type == "category":
        frequent = sorted(column.categories.items(), key=lambda each: (-each[1], each[0]))[:4]
        shares = ", ".join(f"{name} {rows / max(1, column.valued):.0%}" for name, rows in frequent)
        return f"{missing}; {shares or 'no value'}"
    if column.mean is None:
        return f"{missing}; no value"
    lowest, low, middle, high, highest = column.quantile([0, 0.25, 0.5, 0.75, 1])
    return (
        f"{missing}; mean {column.mean:.4g}, quartiles {low:.4g} {middle:.4g} {high:.4g}, {lowest:.4g} to {highest:.4g}"
    )
