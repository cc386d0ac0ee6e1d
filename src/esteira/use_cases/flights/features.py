"""Every feature table of flights: windows over events, the aircraft's last leg, weather, facts and the flight plan."""

from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, FeatureTable, Frames
from esteira.features.rolling import Window, rolling
from esteira.use_cases.flights.events import WIDEST_MOVE, WINDOWED_TABLES, hours

AIRCRAFT_MEMORY = timedelta(days=2)
"""An aircraft not seen in New York for longer has no last leg."""


def unix_seconds(column: str) -> pl.Expr:
    """A moment as whole seconds since 1970, the form in which moments can be features."""
    return pl.col(column).dt.epoch("s")


def last(name: str, column: str) -> Window:
    """The aircraft's newest value of ``column``."""
    return Window(name, column, "last", AIRCRAFT_MEMORY)


DEPARTED = (
    last("aircraft_departed_at", "left_at"),
    last("aircraft_departure_was_due_at", "due_at"),
    last("aircraft_last_dep_delay", "dep_delay"),
)
LANDED = (
    last("aircraft_arrived_at", "landed_at"),
    last("aircraft_arrival_was_due_out_at", "due_at"),
    last("aircraft_last_arr_delay", "arr_delay"),
)
REPORTED = ("temp", "spread", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
WEATHER = (
    *(Window(f"weather_{name}", name, "last", timedelta(hours=1)) for name in REPORTED),
    hours("weather_precip_sum", "precip", "sum", 3),
    hours("weather_precip_sum", "precip", "sum", 12),
    hours("weather_visib_mean", "visib", "mean", 3),
    hours("weather_pressure_mean", "pressure", "mean", 6),
)


def aircraft_departures(frames: Frames) -> pl.DataFrame:
    """The aircraft's last leg out of New York: known when it left."""
    legs = frames["departures"].with_columns(
        unix_seconds(EVENT).alias("left_at"), unix_seconds("scheduled_departure").alias("due_at")
    )
    return rolling(legs, keys=["tailnum"], record=["flight_id"], windows=DEPARTED)


def aircraft_arrivals(frames: Frames) -> pl.DataFrame:
    """The aircraft's last leg out of New York: known when it landed."""
    legs = frames["arrivals"].with_columns(
        unix_seconds(EVENT).alias("landed_at"), unix_seconds("scheduled_departure").alias("due_at")
    )
    return rolling(legs, keys=["tailnum"], record=["flight_id"], windows=LANDED)


def origin_weather(frames: Frames) -> pl.DataFrame:
    """The last report at the airport and how it changed; a report without gusts has gusts of the wind's own speed."""
    reports = frames["weather"].with_columns(
        pl.coalesce("wind_gust", "wind_speed").alias("wind_gust"),
        (pl.col("temp") - pl.col("dewp")).alias("spread"),
    )
    rows = rolling(reports, keys=["origin"], record=["origin", EVENT], windows=WEATHER)
    trend = (pl.col("weather_pressure") - pl.col("weather_pressure_mean_6h")).alias("weather_pressure_trend_6h")
    return rows.with_columns(trend).drop("weather_pressure_mean_6h")


def plane_facts(frames: Frames) -> pl.DataFrame:
    """What the aircraft registry says about a plane."""
    return frames["planes"].select("tailnum", EVENT, CREATED, plane_seats="seats", plane_built_year="year")


def dest_facts(frames: Frames) -> pl.DataFrame:
    """Where a destination lies."""
    return frames["airports"].select(EVENT, CREATED, dest="faa", dest_latitude="lat", dest_longitude="lon")


def flight_plan(frames: Frames) -> pl.DataFrame:
    """The flight as published: route, block time, load of its hour, and the aircraft's leg before it.

    Load and previous leg are those known at publication: flights that leave later are published later.
    """
    schedules = frames["schedules"]
    departing = schedules.select(
        "flight_id", "origin", "carrier", pl.col("scheduled_departure").alias(EVENT), CREATED, planned=pl.lit(1)
    )
    loads = []
    for keys, name in ((["origin"], "origin_planned_count_1h"), (["origin", "carrier"], "carrier_planned_count_3h")):
        window = Window(name, "planned", "count", timedelta(hours=int(name[-2])))
        rows = rolling(departing, keys=keys, record=["flight_id"], windows=[window])
        loads.append((keys, rows.rename({EVENT: "scheduled_departure"})))
    plan = schedules.join(previous_legs(schedules), on=["flight_id", CREATED], how="left")
    for keys, rows in loads:
        plan = plan.join(rows, on=[*keys, "scheduled_departure", CREATED], how="left")
    return plan.select(
        "flight_id",
        EVENT,
        CREATED,
        airline="carrier",
        departs_from="origin",
        arrives_at="dest",
        distance_miles="distance",
        origin_planned_count_1h="origin_planned_count_1h",
        carrier_planned_count_3h="carrier_planned_count_3h",
        previous_leg_due_out_at="previous_leg_due_out_at",
        previous_leg_due_in_at="previous_leg_due_in_at",
        previous_leg_distance_miles="previous_leg_distance_miles",
    )


def previous_legs(schedules: pl.DataFrame) -> pl.DataFrame:
    """Per published flight (flight_id, created), the aircraft's newest leg due out in the day before, if published."""
    day = timedelta(days=1)
    owned = schedules.filter(pl.col("tailnum").is_not_null())
    flights = owned.select("flight_id", "tailnum", "scheduled_departure", CREATED)
    days = pl.concat_list(
        pl.col("scheduled_departure").dt.date(), (pl.col("scheduled_departure") - day).dt.date()
    ).alias("day")
    legs = owned.select(
        "tailnum",
        pl.col("scheduled_departure").dt.date().alias("day"),
        pl.col("scheduled_departure").alias("due_out"),
        pl.col(CREATED).alias("published"),
        unix_seconds("scheduled_departure").alias("previous_leg_due_out_at"),
        unix_seconds("scheduled_arrival").alias("previous_leg_due_in_at"),
        pl.col("distance").alias("previous_leg_distance_miles"),
    )
    before = (pl.col("due_out") < pl.col("scheduled_departure")) & (pl.col("published") <= pl.col(CREATED))
    within = pl.col("due_out") >= pl.col("scheduled_departure") - day
    return (
        flights.with_columns(days)
        .explode("day")
        .join(legs, on=["tailnum", "day"])
        .filter(before & within)
        .sort("flight_id", CREATED, "due_out", "published")
        .unique(["flight_id", CREATED], keep="last", maintain_order=True)
        .drop("tailnum", "scheduled_departure", "day", "due_out", "published")
    )


FEATURE_TABLES = (
    *WINDOWED_TABLES,
    FeatureTable(
        name="aircraft_departures",
        keys=("tailnum",),
        reads=("departures",),
        lookback=AIRCRAFT_MEMORY + WIDEST_MOVE,
        compute=aircraft_departures,
        windows=DEPARTED,
    ),
    FeatureTable(
        name="aircraft_arrivals",
        keys=("tailnum",),
        reads=("arrivals",),
        lookback=AIRCRAFT_MEMORY + WIDEST_MOVE,
        compute=aircraft_arrivals,
        windows=LANDED,
    ),
    FeatureTable(
        name="origin_weather",
        keys=("origin",),
        reads=("weather",),
        lookback=timedelta(hours=13),
        compute=origin_weather,
        windows=WEATHER,
    ),
    FeatureTable(name="plane_facts", keys=("tailnum",), reads=("planes",), lookback=timedelta(0), compute=plane_facts),
    FeatureTable(name="dest_facts", keys=("dest",), reads=("airports",), lookback=timedelta(0), compute=dest_facts),
    FeatureTable(
        name="flight_plan",
        keys=("flight_id",),
        reads=("schedules",),
        lookback=timedelta(days=2),
        compute=flight_plan,
    ),
)
