"""Streams of flight events, and the windowed feature tables computed from them.

A departure's delay is known when it departs, an arrival's when it lands, and that a flight is still waiting is known
once its scheduled departure has passed: the three streams say no more than the airport knew.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal

import polars as pl

from esteira.contract import CREATED, EVENT, FeatureTable, Frames
from esteira.features.rolling import Window, rolling

LATE_MINUTES = 15
"""A flight counts as delayed from here on, as the US Department of Transportation counts."""

# A correction may move a record in time; its old version must still be in sight to be replaced.
WIDEST_MOVE = timedelta(days=1)


def traffic(frames: Frames) -> pl.DataFrame:
    """Flights due, departed and cancelled, as they became known: delay, and what each adds to those waiting."""
    due, departures, cancellations = frames["due"], frames["departures"], frames["cancellations"]
    keys = ["flight_id", "carrier", "origin", "dest", EVENT, CREATED]
    return pl.concat(
        [
            due.select(*keys, kind=pl.lit("due"), waiting=pl.lit(1)),
            departures.select(
                *keys,
                "dep_delay",
                kind=pl.lit("departed"),
                waiting=pl.lit(-1),
                late=(pl.col("dep_delay") >= LATE_MINUTES).cast(pl.Int64),
                cancelled=pl.lit(0),
            ),
            # The event is the announcement: before it the flight was waiting like any other.
            cancellations.with_columns(pl.col(CREATED).alias(EVENT)).select(
                *keys, kind=pl.lit("cancelled"), waiting=pl.lit(-1), cancelled=pl.lit(1)
            ),
        ],
        how="diagonal",
    )


def landings(frames: Frames) -> pl.DataFrame:
    """Arrivals with minutes lost on the way: late against schedule, on the ground, and against the scheduled block."""
    block = (pl.col("scheduled_arrival") - pl.col("scheduled_departure")).dt.total_minutes()
    return frames["arrivals"].with_columns(
        kind=pl.lit("arrived"),
        late=(pl.col("arr_delay") >= LATE_MINUTES).cast(pl.Int64),
        taxi_minutes=pl.col("gate_minutes") - pl.col("air_time"),
        block_overrun=pl.col("gate_minutes") - block,
    )


STREAMS: dict[str, tuple[Callable[[Frames], pl.DataFrame], tuple[str, ...]]] = {
    "traffic": (traffic, ("due", "departures", "cancellations")),
    "landings": (landings, ("arrivals",)),
}


def windowed_table(
    name: str, keys: Sequence[str], stream: Literal["traffic", "landings"], windows: Sequence[Window]
) -> FeatureTable:
    """The feature table ``name`` with one column a window over ``stream``."""
    events, reads = STREAMS[stream]

    def compute(frames: Frames) -> pl.DataFrame:
        return rolling(events(frames), keys=keys, record=("flight_id", "kind"), windows=windows)

    longest = max(window.width for window in windows)
    return FeatureTable(
        name=name,
        keys=tuple(keys),
        reads=reads,
        lookback=longest + WIDEST_MOVE,
        compute=compute,
        windows=tuple(windows),
    )


def hours(name: str, column: str, aggregate: Literal["mean", "sum", "count"], width: int) -> Window:
    """A window of ``width`` hours, said in its name."""
    return Window(f"{name}_{width}h", column, aggregate, timedelta(hours=width))


def days(name: str, column: str, aggregate: Literal["mean", "sum", "count"], width: int) -> Window:
    """A window of ``width`` days, said in its name."""
    return Window(f"{name}_{width}d", column, aggregate, timedelta(days=width))


WINDOWED_TABLES = (
    windowed_table(
        "origin_traffic",
        ["origin"],
        "traffic",
        [
            hours("origin_dep_delay_mean", "dep_delay", "mean", 1),
            hours("origin_dep_delay_mean", "dep_delay", "mean", 2),
            hours("origin_dep_delay_mean", "dep_delay", "mean", 3),
            hours("origin_dep_delay_mean", "dep_delay", "mean", 24),
            hours("origin_late_share", "late", "mean", 1),
            hours("origin_late_share", "late", "mean", 3),
            hours("origin_departures_count", "dep_delay", "count", 1),
            hours("origin_waiting_flights", "waiting", "sum", 6),
        ],
    ),
    windowed_table(
        "origin_landings",
        ["origin"],
        "landings",
        [
            hours("origin_taxi_minutes_mean", "taxi_minutes", "mean", 3),
            hours("origin_block_overrun_mean", "block_overrun", "mean", 3),
            hours("origin_arr_delay_mean", "arr_delay", "mean", 3),
        ],
    ),
    windowed_table(
        "carrier_traffic",
        ["carrier"],
        "traffic",
        [
            hours("carrier_dep_delay_mean", "dep_delay", "mean", 3),
            hours("carrier_waiting_flights", "waiting", "sum", 6),
            hours("carrier_cancelled_count", "cancelled", "sum", 24),
            days("carrier_dep_delay_mean", "dep_delay", "mean", 7),
            days("carrier_late_share", "late", "mean", 7),
        ],
    ),
    windowed_table(
        "carrier_origin_traffic",
        ["carrier", "origin"],
        "traffic",
        [
            hours("carrier_origin_dep_delay_mean", "dep_delay", "mean", 1),
            hours("carrier_origin_dep_delay_mean", "dep_delay", "mean", 3),
            hours("carrier_origin_dep_delay_mean", "dep_delay", "mean", 6),
            hours("carrier_origin_late_share", "late", "mean", 6),
            hours("carrier_origin_waiting_flights", "waiting", "sum", 6),
        ],
    ),
    windowed_table(
        "dest_traffic",
        ["dest"],
        "traffic",
        [
            hours("dest_dep_delay_mean", "dep_delay", "mean", 3),
            hours("dest_dep_delay_mean", "dep_delay", "mean", 6),
            hours("dest_waiting_flights", "waiting", "sum", 6),
        ],
    ),
    windowed_table(
        "dest_landings",
        ["dest"],
        "landings",
        [
            hours("dest_arr_delay_mean", "arr_delay", "mean", 6),
            hours("dest_arr_delay_mean", "arr_delay", "mean", 24),
            hours("dest_late_share", "late", "mean", 24),
            hours("dest_block_overrun_mean", "block_overrun", "mean", 6),
        ],
    ),
    windowed_table(
        "flight_number_history",
        ["carrier", "flight"],
        "landings",
        [
            days("flight_number_arr_delay_mean", "arr_delay", "mean", 7),
            days("flight_number_late_share", "late", "mean", 7),
            days("flight_number_arr_delay_mean", "arr_delay", "mean", 30),
            days("flight_number_late_share", "late", "mean", 30),
            days("flight_number_dep_delay_mean", "dep_delay", "mean", 30),
            days("flight_number_block_overrun_mean", "block_overrun", "mean", 30),
            days("flight_number_arrivals_count", "arr_delay", "count", 30),
        ],
    ),
    windowed_table(
        "route_history",
        ["origin", "dest"],
        "landings",
        [
            hours("route_arr_delay_mean", "arr_delay", "mean", 24),
            days("route_late_share", "late", "mean", 30),
            days("route_block_overrun_mean", "block_overrun", "mean", 7),
        ],
    ),
)
