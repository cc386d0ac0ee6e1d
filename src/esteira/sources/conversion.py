"""Bring columns as they were delivered into their declared types, exactly or not at all."""

import polars as pl

from esteira.contract import MOMENT
from esteira.errors import WrongColumns

_MOMENT_TEXT = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?(?:Z|[+-]\d{2}:?\d{2})?$"
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"
_WIDTHS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64, "UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64}


def from_text(texts: pl.Series, kind: pl.DataType, *, zone: str) -> pl.Series:
    """``texts`` (n,) in type ``kind``; null where a text is not one of its values.

    Moments without offset are those of ``zone``. A local time that the zone skips or has twice is no moment.
    """
    if kind == pl.String:
        return texts
    if kind == MOMENT:
        return _moments(texts, zone)
    if kind == pl.Boolean:
        truth = {"true": True, "false": False}
        return texts.str.to_lowercase().replace_strict(truth, default=None, return_dtype=pl.Boolean)
    return texts.cast(kind, strict=False)


def from_values(values: pl.Series, kind: pl.DataType, *, zone: str) -> pl.Series:
    """``values`` in type ``kind``, where every value of their own type is one of it; else raises WrongColumns.

    A narrower number widens; a wider one is refused even if its values would fit, because the next may not.
    """
    given = values.dtype
    if given in (kind, pl.Null):
        return values.cast(kind)
    if isinstance(given, pl.Datetime) and kind == MOMENT:
        zoned = values if given.time_zone else values.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        return zoned.dt.convert_time_zone("UTC").cast(kind)
    if given.is_integer() and kind.is_integer() and _widens(str(given), str(kind)):
        return values.cast(kind)
    if (given == pl.Float32 or (given.is_integer() and _WIDTHS[str(given)] <= 32)) and kind == pl.Float64:
        return values.cast(kind)
    if isinstance(given, pl.Categorical | pl.Enum) and kind == pl.String:
        return values.cast(kind)
    raise WrongColumns(f"column {values.name!r} holds {given}, expected {kind}")


def _widens(given: str, kind: str) -> bool:
    gains = _WIDTHS[kind] - _WIDTHS[given]
    return gains >= 0 if given[0] == kind[0] else given[0] == "U" and gains > 0


def _moments(texts: pl.Series, zone: str) -> pl.Series:
    read = pl.col("text")
    shaped = pl.when(read.str.contains(_MOMENT_TEXT)).then(read.str.replace(" ", "T", literal=True))
    local = shaped.str.replace(_OFFSET, "")
    whole = (
        pl.when(local.str.len_chars() == 10).then(local + "T00:00:00")
        .when(local.str.len_chars() == 16).then(local + ":00")
        .otherwise(local)
    )  # fmt: skip
    naive = whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    offset = shaped.str.extract(rf"({_OFFSET[:-1]})$").str.replace("Z", "+00:00", literal=True).str.replace(":", "")
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(3, 2).cast(pl.Int64)
    ahead = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes)
    zoned = (naive - pl.duration(minutes=ahead)).dt.replace_time_zone("UTC")
    placed = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
    found = texts.alias("text").to_frame().select(pl.when(offset.is_not_null()).then(zoned).otherwise(placed))
    return found.to_series().rename(texts.name).cast(MOMENT)
