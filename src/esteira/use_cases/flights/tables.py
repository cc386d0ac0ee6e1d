"""The raw tables of the flights source: their columns, and when each record is taken to be known.

=============  ===================================  ==========================================================
table          event_timestamp                      created_timestamp (when it is known)
=============  ===================================  ==========================================================
schedules      publication                          publication: a week before scheduled departure
due            scheduled departure                  the same moment: the departure board says the time has come
departures     actual departure                     actual departure
arrivals       actual arrival                       actual arrival
cancellations  scheduled departure                  an hour after scheduled departure
weather        observation, 51 minutes past         five minutes after the observation
planes         start of the data                    start of the data
airports       start of the data                    start of the data
=============  ===================================  ==========================================================

Three of these are assumptions, because the data does not say: schedules are published with the aircraft already
assigned; a cancellation is announced an hour after the flight should have left (true ones come earlier, so features
know less than they could); a weather report is spread in five minutes. The 51 minutes are not: the data set's own
preparation (data-raw/weather.R of tidyverse/nycflights13) labels a report with the hour it falls in, routine reports
fall at 51 past, and precipitation is what fell up to minute 51. Taking the label as the time known would leak up to
51 minutes of future weather.
"""

from datetime import UTC, datetime, timedelta

import polars as pl

from esteira.contract import MOMENT, RawTable

START = datetime(2013, 1, 1, 5, tzinfo=UTC)
"""Midnight in New York: nothing is known before."""
PUBLISHED_AHEAD = timedelta(days=7)
CANCELLATION_KNOWN_AFTER = timedelta(hours=1)
OBSERVED_AFTER_HOUR = timedelta(minutes=51)
REPORTED_AFTER = timedelta(minutes=5)

FLIGHT_COLUMNS: dict[str, pl.DataType] = {
    "flight_id": pl.String(),
    "carrier": pl.String(),
    "flight": pl.Int64(),
    "origin": pl.String(),
    "dest": pl.String(),
    "tailnum": pl.String(),
    "scheduled_departure": MOMENT,
    "scheduled_arrival": MOMENT,
    "distance": pl.Int64(),
}

SCHEDULES = RawTable(name="schedules", columns=FLIGHT_COLUMNS, keys=("flight_id",))
DUE = RawTable(name="due", columns=FLIGHT_COLUMNS, keys=("flight_id",))
DEPARTURES = RawTable(name="departures", columns={**FLIGHT_COLUMNS, "dep_delay": pl.Int64()}, keys=("flight_id",))
ARRIVALS = RawTable(
    name="arrivals",
    columns={
        **FLIGHT_COLUMNS,
        "dep_delay": pl.Int64(),
        "arr_delay": pl.Int64(),
        "air_time": pl.Int64(),
        "gate_minutes": pl.Int64(),
    },
    keys=("flight_id",),
)
CANCELLATIONS = RawTable(name="cancellations", columns=FLIGHT_COLUMNS, keys=("flight_id",))
WEATHER = RawTable(
    name="weather",
    columns={
        "origin": pl.String(),
        "temp": pl.Float64(),
        "dewp": pl.Float64(),
        "humid": pl.Float64(),
        "wind_dir": pl.Float64(),
        "wind_speed": pl.Float64(),
        "wind_gust": pl.Float64(),
        "precip": pl.Float64(),
        "pressure": pl.Float64(),
        "visib": pl.Float64(),
    },
    keys=("origin", "event_timestamp"),
)
PLANES = RawTable(
    name="planes",
    columns={
        "tailnum": pl.String(),
        "year": pl.Int64(),
        "type": pl.String(),
        "manufacturer": pl.String(),
        "model": pl.String(),
        "engines": pl.Int64(),
        "seats": pl.Int64(),
        "engine": pl.String(),
    },
    keys=("tailnum",),
)
AIRPORTS = RawTable(
    name="airports",
    columns={
        "faa": pl.String(),
        "name": pl.String(),
        "lat": pl.Float64(),
        "lon": pl.Float64(),
        "alt": pl.Int64(),
        "tzone": pl.String(),
    },
    keys=("faa",),
)
TABLES = (SCHEDULES, DUE, DEPARTURES, ARRIVALS, CANCELLATIONS, WEATHER, PLANES, AIRPORTS)
