"""Propose the schema of a table from its records: bounds with room around what was seen, for a person to review."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from math import ceil, floor

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import beta

from esteira.contract import CREATED, EVENT, POSITION, RawTable
from esteira.data.schema import ColumnSchema, TableSchema, kind_of, reference_of, seconds_from_reference

_FEWEST_A_DAY = 30
_IMPROBABLE, _ROOM = 0.01, 0.01
_MOST_BALANCED = 20
"""Columns with at most this many categories are watched for one of them taking over."""


def propose(
    rows: pl.DataFrame, table: RawTable, *, current: TableSchema | None = None, shifts: Mapping[str, float]
) -> TableSchema:
    """The schema that ``rows`` of ``table`` keep, with room to both sides.

    With ``current``, its bounds stay as they are and are only widened where ``rows`` break them, so what a person
    set stays set. ``shifts`` says how far apart days lie from one another, for each column this was measured for.
    """
    rows = rows.drop(POSITION, strict=False)
    proposed = TableSchema(
        columns={name: _column(rows, name, table, shifts.get(name)) for name in table.schema},
        unique=table.keys,
        silence_hours=_silence_hours(rows),
    )
    if current is None:
        return proposed
    columns = {
        name: _widened(current.columns[name], column, rows, name)
        if name in current.columns and current.columns[name].type == column.type
        else column
        for name, column in proposed.columns.items()
    }
    return current.model_copy(update={"columns": columns, "unique": proposed.unique})


def _column(rows: pl.DataFrame, name: str, table: RawTable, shift: float | None) -> ColumnSchema:
    values = rows[name]
    kind = kind_of(values)
    required = name in (*table.keys, EVENT, CREATED) or (rows.height > 0 and values.null_count() == 0)
    nulls = 0.0 if required else _share_limit(rows, pl.col(name).is_null())
    plain = ColumnSchema(type=str(table.schema[name]), kind=kind, required=required, null_share=nulls)
    if kind == "category":
        texts = tuple(sorted(values.drop_nulls().unique()))
        few = 1 < len(texts) <= _MOST_BALANCED
        largest = (1 + _most_frequent_of_a_day(rows, name)) / 2 if few else None
        return plain.model_copy(update={"categories": texts, "largest_share": largest, "shift": shift})
    numbers = _measured(rows, name, kind)
    if name == CREATED or kind == "identifier" or numbers.is_empty():
        return plain
    low, high = _bounds(numbers, whole=not values.dtype.is_float())
    if name == EVENT:  # how late a record may be; how early is the rule of time order
        return plain.model_copy(update={"low": low - 86400, "shift": shift})
    if kind == "moment":
        return plain.model_copy(update={"low": low, "high": high, "shift": shift})
    bounded = plain.model_copy(update={"low": low, "high": high, "shift": shift})
    fences = _fences(numbers)
    if fences is None:
        return bounded
    outside = (pl.col(name) < fences[0]) | (pl.col(name) > fences[1])
    return bounded.model_copy(update={"fences": fences, "outlier_share": _share_limit(rows, outside)})


def _measured(rows: pl.DataFrame, name: str, kind: str) -> pl.Series:
    """The finite values that bounds are about; none of an identifier."""
    if kind == "moment":
        return rows.select(seconds_from_reference(name, reference_of(name))).to_series().drop_nulls()
    numbers = rows[name].cast(pl.Float64, strict=False).drop_nulls()
    return numbers.filter(numbers.is_finite())


def _bounds(numbers: pl.Series, *, whole: bool) -> tuple[float, float]:
    lowest, highest = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    room = (highest - lowest) / 2
    low, high = lowest - room, highest + room
    if lowest >= 0:
        low = max(0.0, low)
    return (float(floor(low)), float(ceil(high))) if whole else (low, high)


def _fences(numbers: pl.Series) -> tuple[float, float] | None:
    first, third = numbers.quantile(0.25), numbers.quantile(0.75)
    if first is None or third is None or third <= first:
        return None
    reach = 3 * (third - first)
    return first - reach, third + reach


def _daily(rows: pl.DataFrame, count: pl.Expr) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A count of rows in each day with enough of them, or in all rows, and the rows it is of: (days,), (days,)."""
    daily = rows.group_by(pl.col(EVENT).dt.date().alias("day")).agg(count.alias("count"), pl.len().alias("rows"))
    full = daily.filter(pl.col("rows") >= _FEWEST_A_DAY)
    used = full if full.height else rows.select(count.alias("count"), pl.len().alias("rows"))
    return tuple(used[name].cast(pl.Int64).fill_null(0).to_numpy() for name in ("count", "rows"))  # type: ignore[return-value]


def _share_limit(rows: pl.DataFrame, condition: pl.Expr) -> float:
    """The smallest limit under which no day is improbable: the largest lower bound of a day (Clopper, Pearson 1934)."""
    count, of = _daily(rows, condition.sum())
    bounds = beta.ppf(_IMPROBABLE, np.maximum(count, 1), np.maximum(of - count, 0) + 1)
    lowest = float(np.where(count > 0, bounds, 0.0).max(initial=0.0))
    return round(min(1.0, lowest + _ROOM), 4)


def _most_frequent_of_a_day(rows: pl.DataFrame, name: str) -> float:
    count, of = _daily(rows, pl.col(name).drop_nulls().unique_counts().max())
    return float((count / np.maximum(of, 1)).max(initial=0.0))


def _silence_hours(rows: pl.DataFrame) -> float | None:
    moments = rows[CREATED].drop_nulls().unique().sort().to_list()
    if len(moments) < 2:
        return None
    longest = max((later - earlier for earlier, later in pairwise(moments)), default=timedelta(0))
    return float(ceil(2 * longest.total_seconds() / 3600))


def _widened(current: ColumnSchema, seen: ColumnSchema, rows: pl.DataFrame, name: str) -> ColumnSchema:
    changes: dict[str, object] = {}
    if current.required and not seen.required:
        changes |= {"required": False, "null_share": seen.null_share}
    elif not current.required and seen.null_share - _ROOM > current.null_share:
        changes["null_share"] = seen.null_share
    if current.categories is not None and seen.categories is not None:
        changes["categories"] = tuple(sorted({*current.categories, *seen.categories}))
    if current.kind in ("number", "moment") and len(numbers := _measured(rows, name, current.kind)):
        lowest, highest = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
        if current.low is not None and lowest < current.low:
            changes["low"] = seen.low
        if current.high is not None and highest > current.high:
            changes["high"] = seen.high
    return current.model_copy(update=changes)
