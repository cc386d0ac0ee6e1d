"""Propose the schema of a table from its records: bounds with room around what was seen, for a person to review."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from math import ceil, floor

import polars as pl

from esteira.contract import CREATED, EVENT, POSITION, RawTable
from esteira.data.schema import ColumnSchema, TableSchema, kind_of, reference_of, seconds_from_reference

_FEWEST_A_DAY = 30
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
    nulls = 0.0 if required else _with_room(_most_of_a_day(rows, pl.col(name).is_null()))
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
    outside = _most_of_a_day(rows, (pl.col(name) < fences[0]) | (pl.col(name) > fences[1]))
    return bounded.model_copy(update={"fences": fences, "outlier_share": _with_room(outside)})


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


def _daily(rows: pl.DataFrame, figure: pl.Expr) -> pl.DataFrame:
    daily = rows.group_by(pl.col(EVENT).dt.date().alias("day")).agg(figure.alias("figure"), pl.len().alias("rows"))
    full = daily.filter(pl.col("rows") >= _FEWEST_A_DAY)
    return full if full.height else rows.select(figure.alias("figure"))


def _most_of_a_day(rows: pl.DataFrame, condition: pl.Expr) -> float:
    most = _daily(rows, condition.mean())["figure"].max()
    return float(most) if isinstance(most, float) else 0.0


def _most_frequent_of_a_day(rows: pl.DataFrame, name: str) -> float:
    share = pl.col(name).value_counts(sort=True).first().struct.field("count") / pl.len()
    most = _daily(rows, share)["figure"].max()
    return float(most) if isinstance(most, float) else 1.0


def _with_room(share: float) -> float:
    return round(min(1.0, 1.5 * share + 0.01), 4)


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
    elif not current.required and _most_of_a_day(rows, pl.col(name).is_null()) > current.null_share:
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
