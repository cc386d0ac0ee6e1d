"""Windowed features over events that may arrive late: stated once, equal in backfill and in increments.

The value of a window at an event time T, as known at C, is the aggregate over the records of the key with event in
``(T - width, T]`` that were known by C, each in its newest version known by C. A row stands for every pair (T, C) at
which that value may have changed: T became known, or a record inside the window arrived late, or was corrected.
Nothing that was known is overwritten: re-opened rows carry the late record's knowledge time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import polars as pl

from esteira.contract import CREATED, EVENT

# Sums are taken over integers: they do not depend on order or on what lies before the window, so a backfill and a
# chain of increments agree to the last bit. The unit is a power of two because Polars 2.1 divides by a literal as a
# product with its reciprocal, but not inside a group: only a power of two gives the same bits both ways.
UNIT = 2**20

GROUP, GONE = "__group", "__gone"
SUM, COUNT = "__sum ", "__count "


@dataclass(frozen=True)
class Window:
    """One windowed feature: ``aggregate`` of ``column`` over the last ``width``.

    ``mean`` and ``sum`` pass over nulls and are exact for whole numbers, else to a millionth; ``count`` counts what is
    not null; ``last`` is the newest record's value, null included.
    """

    name: str
    column: str
    aggregate: Literal["mean", "sum", "count", "last"]
    width: timedelta


def rolling(
    events: pl.DataFrame, *, keys: Sequence[str], record: Sequence[str], windows: Sequence[Window]
) -> pl.DataFrame:
    """Every state of ``windows``: keys, the two timestamps and one column a window, ordered by knowledge time.

    ``events`` has keys, ``record`` (the columns that name one record; a later arrival of the same record corrects the
    earlier), the two timestamps and the windows' columns. Records with a null key belong to nobody and give no row.
    In-order data costs a sort and one ASOF join a width; rows touched by late records are aggregated one by one.

    >>> from datetime import UTC, datetime
    >>> times = [datetime(2013, 3, 1, hour, tzinfo=UTC) for hour in (6, 7, 9)]
    >>> flights = {"id": [1, 2, 3], "origin": ["JFK"] * 3, "delay": [10, 20, 60], EVENT: times, CREATED: times}
    >>> departures = pl.DataFrame(flights)
    >>> mean_2h = Window("delay_mean_2h", "delay", "mean", timedelta(hours=2))
    >>> rolling(departures, keys=["origin"], record=["id"], windows=[mean_2h])["delay_mean_2h"].to_list()
    [10.0, 15.0, 60.0]
    """
    longest = max(window.width for window in windows)
    groups = events.select(keys).drop_nulls().unique(maintain_order=True).with_row_index(GROUP)
    versions = with_versions(events, record, windows).join(groups, on=list(keys)).sort(GROUP, EVENT, CREATED, *record)
    moments = versions.group_by(GROUP, EVENT).agg(pl.col(CREATED).min()).sort(GROUP, EVENT)
    reopened = reopened_rows(versions, moments, longest)
    calm = moments.join(reopened, on=[GROUP, EVENT], how="anti") if reopened.height else moments
    rows = pl.concat([calm_values(versions, calm, windows), reopened_values(versions, reopened, windows, record)])
    return (
        rows.join(groups, on=GROUP, how="left")
        .select(*keys, EVENT, CREATED, *(window.name for window in windows))
        .sort(CREATED, EVENT, *keys)
    )


def with_versions(events: pl.DataFrame, record: Sequence[str], windows: Sequence[Window]) -> pl.DataFrame:
    """Events with what each adds to sums and counts, and when a newer version of the record replaced it (``GONE``)."""
    once = events.unique([*record, CREATED], keep="last", maintain_order=True)
    ordered = once.sort(*record, CREATED)
    same_record = pl.all_horizontal(pl.col(name).shift(-1) == pl.col(name) for name in record)
    totalled = dict.fromkeys(window.column for window in windows if window.aggregate != "last")
    return ordered.with_columns(
        pl.when(same_record).then(pl.col(CREATED).shift(-1)).alias(GONE),
        *(
            (pl.col(name).cast(pl.Float64) * UNIT).round().cast(pl.Int64).fill_null(0).alias(SUM + name)
            for name in totalled
        ),
        *(pl.col(name).is_not_null().cast(pl.Int64).alias(COUNT + name) for name in totalled),
    )


def reopened_rows(versions: pl.DataFrame, moments: pl.DataFrame, longest: timedelta) -> pl.DataFrame:
    """The states (group, T, C) of every T whose window holds a late or replaced record; empty for in-order data."""
    newest_last = versions.sort(GROUP, EVENT, pl.col(CREATED).dt.timestamp("us").neg())
    known_after = pl.col(CREATED).reverse().cum_min().reverse().over(GROUP)
    late = newest_last.filter(pl.col(CREATED) > known_after).select(GROUP, EVENT, CREATED)
    replaced = versions.filter(pl.col(GONE).is_not_null()).select(GROUP, EVENT, pl.col(GONE).alias(CREATED))
    changes = pl.concat([late, replaced]).rename({EVENT: "changed", CREATED: "at"})
    if changes.is_empty():
        return moments.clear()
    touched = moments.join_where(
        changes.rename({GROUP: "in"}),
        pl.col(GROUP) == pl.col("in"),
        pl.col(EVENT) >= pl.col("changed"),
        pl.col(EVENT) < pl.col("changed") + longest,
    )
    first = touched.select(GROUP, EVENT, CREATED)
    again = touched.filter(pl.col("at") > pl.col(CREATED)).select(GROUP, EVENT, pl.col("at").alias(CREATED))
    return pl.concat([first, again]).unique().sort(GROUP, EVENT, CREATED)


def calm_values(versions: pl.DataFrame, moments: pl.DataFrame, windows: Sequence[Window]) -> pl.DataFrame:
    """Values at moments whose windows hold in-order records only: differences of running totals."""
    totals = pl.selectors.starts_with(SUM, COUNT)
    running = (
        versions.with_columns(totals.cum_sum().over(GROUP))
        .group_by(GROUP, EVENT, maintain_order=True)
        .agg(pl.exclude(GROUP, EVENT, CREATED, GONE).last())
    )
    before = running.select(GROUP, pl.col(EVENT).alias("__before"), totals.name.prefix("__until "))
    rows = moments.join(running, on=[GROUP, EVENT], how="left", maintain_order="left")
    for width in dict.fromkeys(window.width for window in windows):
        of_width = [window for window in windows if window.width == width]
        rows = (
            rows.with_columns((pl.col(EVENT) - width).alias("__start"))
            # moments are sorted by group and event, so the starts are too
            .join_asof(before, left_on="__start", right_on="__before", by=GROUP, check_sortedness=False)
            .with_columns(
                pl.col(window.column).alias(window.name)
                if window.aggregate == "last"
                else value_of(window, lambda _, name: pl.col(name) - pl.col(f"__until {name}").fill_null(0))
                for window in of_width
            )
            .drop("__start", pl.selectors.starts_with("__until ", "__before"))
        )
    return rows.select(GROUP, EVENT, CREATED, *(window.name for window in windows))


def reopened_values(
    versions: pl.DataFrame, states: pl.DataFrame, windows: Sequence[Window], record: Sequence[str]
) -> pl.DataFrame:
    """Values of states touched by late or replaced records: each aggregated over what was known then."""
    longest = max(window.width for window in windows)
    asked = states.rename({GROUP: "__in", EVENT: "__at", CREATED: "__by"})
    known = asked.join_where(
        versions,
        pl.col("__in") == pl.col(GROUP),
        pl.col(EVENT) <= pl.col("__at"),
        pl.col(EVENT) > pl.col("__at") - longest,
        pl.col(CREATED) <= pl.col("__by"),
    ).filter(pl.col(GONE).is_null() | (pl.col(GONE) > pl.col("__by")))

    def inside(window: Window, name: str) -> pl.Expr:
        return pl.col(name).filter(pl.col(EVENT) > pl.col("__at") - window.width)

    values = (
        known.sort("__in", "__at", "__by", EVENT, CREATED, *record)
        .group_by("__in", "__at", "__by", maintain_order=True)
        .agg(
            inside(window, window.column).last().alias(window.name)
            if window.aggregate == "last"
            else value_of(window, lambda of, name: inside(of, name).sum())
            for window in windows
        )
    )
    empty = [pl.col(window.name).fill_null(0) for window in windows if window.aggregate in {"count", "sum"}]
    return (
        asked.join(values, on=["__in", "__at", "__by"], how="left")
        .with_columns(empty)
        .rename({"__in": GROUP, "__at": EVENT, "__by": CREATED})
    )


def value_of(window: Window, total: Callable[[Window, str], pl.Expr]) -> pl.Expr:
    """The window's value from its totals; a mean of nothing is null."""
    count, amount = total(window, COUNT + window.column), total(window, SUM + window.column)
    if window.aggregate == "count":
        return count.alias(window.name)
    if window.aggregate == "sum":
        return (amount / UNIT).alias(window.name)
    return pl.when(count > 0).then(amount / (count * UNIT)).alias(window.name)
