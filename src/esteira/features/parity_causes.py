"""The evidence behind the parity proof: which values differ, and what the rows behind them say about the cause.

Frames are logged rows joined with replayed ones, whose columns carry the suffix ``REPLAYED``.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import polars as pl

from esteira.contract import CREATED, EVENT

REPLAYED = "__replayed"
_QUARTER = 15 * 60 * 1_000_000
"""Every zone on Earth is a whole number of quarter-hours from UTC, at most 14 hours."""
_FARTHEST = 14 * 60 * 60 * 1_000_000
_MOST = 0.5
"""A lost zone shifts all rows of a view; late writes touch some. Half of the rows tells them apart."""
_CLOCKS = (24, 24 * 60, 24 * 60 * 60)
"""Columns that count the hours, minutes or seconds of a day."""
_CLOCK_ROWS = 3
"""So many rows must agree on one shift: by chance two hours differ alike once in 24."""

Family = Literal["number", "truth", "text", "moment", "nothing", "other"]


def columns_of(views: Sequence[str]) -> list[str]:
    """The columns that hold the two times of each view."""
    return [f"{view}__{name}" for view in views for name in (EVENT, CREATED)]


def family(dtype: pl.DataType) -> Family:
    """The kind of values a column holds; numbers of any width are one kind."""
    if dtype.is_numeric():
        return "number"
    if dtype.is_temporal():
        return "moment"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    named: dict[type[pl.DataType], Family] = {pl.Boolean: "truth", pl.Null: "nothing"}
    return named.get(type(dtype), "other")


def different(joined: pl.DataFrame, column: str, tolerance: float) -> pl.Series:
    """For each row whether the two sides differ in ``column``."""
    ours, theirs = _sides(joined, column)
    kinds = {family(ours.dtype), family(theirs.dtype)}
    if kinds == {"number"}:
        left, right = ours.cast(pl.Float64), theirs.cast(pl.Float64)
        larger = pl.max_horizontal(left.abs(), right.abs(), pl.lit(1.0))
        # Two infinities are equal although their distance is no number.
        unequal = joined.select((left != right) & ~((left - right).abs() <= tolerance * larger)).to_series()
    elif len(kinds - {"nothing"}) == 2:
        unequal = pl.Series([True] * joined.height, dtype=pl.Boolean)
    else:
        unequal = ours != theirs
    one_side = ours.is_null() != theirs.is_null()
    both = ours.is_not_null() & theirs.is_not_null()
    return one_side | (both & unequal.fill_null(value=False))


def shifted_views(
    joined: pl.DataFrame, columns: Mapping[str, Sequence[str]], views: Sequence[str], tolerance: float
) -> tuple[str, ...]:
    """The views whose event times are, for most rows, those of the same row moved by whole quarter-hours."""
    found = []
    for view in views:
        event, created = f"{view}__{EVENT}", f"{view}__{CREATED}"
        moved = pl.col(event) - pl.col(event + REPLAYED)
        own = [different(joined, name, tolerance) for name, sources in columns.items() if list(sources) == [view]]
        alike = ~pl.any_horizontal(*own) if own else pl.lit(value=False)
        same_row = (pl.col(created) == pl.col(created + REPLAYED)) | alike
        rows, shifted = joined.select(moved.count(), (_is_zone(moved) & same_row).sum().alias("shifted")).row(0)
        if rows and shifted >= _MOST * rows:
            found.append(view)
    return tuple(found)


def clock_is_shifted(joined: pl.DataFrame, column: str) -> bool:
    """Whether ``column`` counts a day and runs, in all rows, ahead or behind by one zone (two, where summer begins)."""
    ours, theirs = _sides(joined, column)
    if {family(ours.dtype), family(theirs.dtype)} != {"number"}:
        return False
    pairs = pl.DataFrame({"ours": ours.cast(pl.Float64), "theirs": theirs.cast(pl.Float64)}).drop_nulls()
    if pairs.height < _CLOCK_ROWS:
        return False
    both = pl.concat([pairs["ours"], pairs["theirs"]])
    for day in _CLOCKS:
        apart = (pairs["ours"] - pairs["theirs"]).round(6)  # hours with minutes as a fraction differ in their last bits
        shifts = (apart % day).unique().to_list()
        # Running over midnight shows a clock; where no row does, the name must (units stand in names).
        is_clock = both.is_between(0, day, closed="left").all() and (apart.n_unique() > len(shifts) or "hour" in column)
        of_zones = all(shift != 0 and (shift * 96 / day) % 1 == 0 for shift in shifts)
        one_zone = len(shifts) == 1 or (len(shifts) == 2 and abs(shifts[0] - shifts[1]) * 24 == day)
        if is_clock and of_zones and one_zone:
            return True
    return False


def cause(
    rows: pl.DataFrame,
    column: str,
    sources: Sequence[str],
    *,
    ttls: Mapping[str, timedelta | None],
    shifted: Sequence[str],
) -> dict[str, pl.Expr]:
    """``cause`` and ``explained`` for the differing rows of one column; ``rows`` says whether its clock is shifted."""
    ours, theirs = (pl.lit(side) for side in _sides(rows, column))
    kinds = [family(side.dtype) for side in _sides(rows, column)]
    both = ours.is_not_null() & theirs.is_not_null()
    of_two_kinds = pl.lit(value=len({*kinds} - {"nothing"}) == 2)
    is_cut = _is_cut(ours, theirs) if kinds == ["number", "number"] else pl.lit(value=False)
    zone_moved = _is_zone(ours - theirs) if kinds == ["moment", "moment"] else pl.lit(value=False)
    in_shifted = pl.lit(value=any(view in shifted for view in sources))
    expired = _any([_expired(view, ttls.get(view)) for view in sources])
    known_there = {view: pl.col(f"{view}__{CREATED}{REPLAYED}") for view in sources}
    newer_there = {view: _newer(view, ours=False) for view in sources}
    newer_here = {view: _newer(view, ours=True) for view in sources}
    late = _any(
        [newer_there[view] & (known_there[view] <= pl.col("as_of")) for view in sources]
        + [newer_here[view] & (pl.col(f"{view}__{CREATED}") <= pl.col("as_of")) for view in sources]
    )
    within_horizon = _any(
        [newer_here[view] for view in sources]
        # Without a horizon nobody can say that serving could not have had the row.
        + [newer_there[view] & (known_there[view] <= pl.col("horizon")).fill_null(value=True) for view in sources]
    )
    same_rows = ~_any([*newer_there.values(), *newer_here.values()])
    against_nothing = same_rows & ~both
    is_constant = pl.coalesce(ours.cast(pl.String), theirs.cast(pl.String)).filter(against_nothing).n_unique() == 1
    named = (
        pl.when(both & (of_two_kinds | is_cut))
        .then(pl.lit("type"))
        .when(in_shifted | pl.col("shifted_clock") | (both & zone_moved))
        .then(pl.lit("time zone"))
        .when(expired)
        .then(pl.lit("expired"))
        .when(late)
        .then(pl.lit("late write"))
        .when(against_nothing & is_constant)
        .then(pl.lit("default"))
        .when(both & same_rows)
        .then(pl.lit("transformation"))
        .otherwise(pl.lit("unknown"))
    )
    return {"cause": named, "explained": (named == "late write") & ~within_horizon}


def _sides(joined: pl.DataFrame, column: str) -> tuple[pl.Series, pl.Series]:
    sides = (joined[column], joined[f"{column}{REPLAYED}"])
    ours, theirs = (side.fill_nan(None) if side.dtype.is_float() else side for side in sides)
    return ours, theirs


def _any(conditions: Sequence[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(*conditions).fill_null(value=False) if conditions else pl.lit(value=False)


def _expired(view: str, ttl: timedelta | None) -> pl.Expr:
    """One side used a value past its ttl. A row both sides used cannot be the difference."""
    if not ttl:
        return pl.lit(value=False)
    ours, theirs = pl.col(f"{view}__{EVENT}"), pl.col(f"{view}__{EVENT}{REPLAYED}")
    past_ours = (pl.col("as_of") - ours > ttl).fill_null(value=False)
    past_theirs = (pl.col("as_of") - theirs > ttl).fill_null(value=False)
    return past_ours ^ past_theirs


def _newer(view: str, *, ours: bool) -> pl.Expr:
    """One side's row is newer than the other's, or the only one: later event, or the same known later."""
    mine, other = ("", REPLAYED) if ours else (REPLAYED, "")
    event, created = pl.col(f"{view}__{EVENT}{mine}"), pl.col(f"{view}__{CREATED}{mine}")
    other_event, other_created = pl.col(f"{view}__{EVENT}{other}"), pl.col(f"{view}__{CREATED}{other}")
    later = (event > other_event) | ((event == other_event) & (created > other_created))
    return (event.is_not_null() & other_event.is_null()) | later.fill_null(value=False)


def _is_cut(ours: pl.Expr, theirs: pl.Expr) -> pl.Expr:
    """Whether one side is the other cut or rounded to a whole number, as most differences of the column are."""
    left, right = ours.cast(pl.Float64), theirs.cast(pl.Float64)
    cut = _any(
        [
            (whole == each) & (whole != exact)
            for whole, exact in ((left, right), (right, left))
            for each in (exact.round(), exact.floor(), exact.ceil())
        ]
    )
    return cut & (cut.sum() >= _MOST * (left + right).count())


def _is_zone(moved: pl.Expr) -> pl.Expr:
    micros = moved.dt.total_microseconds()
    return ((micros != 0) & (micros % _QUARTER == 0) & (micros.abs() <= _FARTHEST)).fill_null(value=False)
