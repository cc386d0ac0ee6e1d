"""Invented flights in the files and columns of the real ones, for who may not have those.

Nothing is copied: codes, registrations and routes are made up, and only words that the reviewed schema allows are used.
Delays grow over the day, with wind, and differ by carrier, so there is something to learn; nothing learned from them
is true of any flight.
"""

import io
import zipfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from esteira.use_cases.flights.tables import PLANES, SCHEDULES, START

FLIGHTS_A_DAY = 240
_HOME_ZONE = "America/New_York"
_DESTINATIONS, _PLANES = 24, 160
_HOME = (40.7, -73.9)
_MILES_A_MINUTE = 7.5
Words = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Table -> column -> the categories its schema allows."""


def synthesize(words: Words, *, seed: int, days: int) -> Mapping[str, bytes]:
    """File name -> content: ``days`` of invented flights from 1 January on; the same seed, the same bytes."""
    rng = np.random.default_rng(seed)
    origins, carriers = words[SCHEDULES.name]["origin"], words[SCHEDULES.name]["carrier"]
    airports, distances = _airports(rng, origins)
    planes = _planes(rng, words[PLANES.name])
    weather = _weather(rng, origins, days)
    flights = _flights(rng, carriers, origins, airports, distances, planes["tailnum"].to_list(), weather, days)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("flights.csv", (1980, 1, 1, 0, 0, 0)), flights.write_csv(null_value="NA"))
    plain = {"airports.csv": airports, "planes.csv": planes, "weather.csv": weather.drop("local")}
    return {
        "flights.csv.zip": packed.getvalue(),
        **{name: frame.write_csv(null_value="NA").encode() for name, frame in plain.items()},
    }


def _airports(rng: np.random.Generator, origins: tuple[str, ...]) -> tuple[pl.DataFrame, Mapping[str, int]]:
    codes = [f"S{place:02d}" for place in range(_DESTINATIONS)]
    lat, lon = rng.uniform(26, 47, _DESTINATIONS), rng.uniform(-121, -76, _DESTINATIONS)
    zones = [_zone(each) for each in lon]
    miles = np.hypot(69 * (lat - _HOME[0]), 53 * (lon - _HOME[1])).round().astype(int)
    frame = pl.DataFrame(
        {
            "faa": [*codes, *origins],
            "name": [f"Invented airport {place}" for place in range(_DESTINATIONS + len(origins))],
            "lat": [*lat.round(4), *[_HOME[0]] * len(origins)],
            "lon": [*lon.round(4), *[_HOME[1]] * len(origins)],
            "alt": rng.integers(0, 3000, _DESTINATIONS + len(origins)),
            "tzone": [*zones, *[_HOME_ZONE] * len(origins)],
        }
    )
    return frame, dict(zip(codes, (int(each) for each in miles), strict=True))


def _zone(longitude: float) -> str:
    if longitude < -114:
        return "America/Los_Angeles"
    if longitude < -102:
        return "America/Denver"
    return "America/Chicago" if longitude < -87 else _HOME_ZONE


def _planes(rng: np.random.Generator, words: Mapping[str, tuple[str, ...]]) -> pl.DataFrame:
    chosen = {name: rng.choice(values, _PLANES) for name, values in words.items() if name in PLANES.columns}
    return pl.DataFrame(
        {
            "tailnum": [f"SYN{place:03d}" for place in range(_PLANES)],
            "year": rng.integers(1990, 2013, _PLANES),
            **chosen,
            "engines": rng.integers(1, 4, _PLANES),
            "seats": rng.integers(20, 300, _PLANES),
        }
    )


def _weather(rng: np.random.Generator, origins: tuple[str, ...], days: int) -> pl.DataFrame:
    hours = 24 * days
    moments = [START + timedelta(hours=hour) for hour in range(hours)]
    # Wind that comes and goes over a day or two, the same for neighbouring airports.
    wind = np.convolve(rng.gamma(2.0, 8.0, hours + 24), np.ones(25) / 25, mode="valid") * rng.uniform(0.8, 1.2, hours)
    cold = 35 + 8 * np.sin(np.arange(hours) / 24 * 2 * np.pi) + rng.normal(0, 4, hours)
    return pl.concat(
        pl.DataFrame(
            {
                "origin": origin,
                "temp": cold.round(1),
                "dewp": (cold - 8).round(1),
                "humid": rng.uniform(30, 95, hours).round(1),
                "wind_dir": rng.integers(0, 36, hours) * 10,
                "wind_speed": wind.clip(0, 60).round(1),
                "wind_gust": np.where(rng.random(hours) < 0.2, (wind * 1.5).clip(0, 90).round(1), np.nan),
                "precip": np.where(rng.random(hours) < 0.1, 0.05, 0.0),
                "pressure": rng.normal(1016, 5, hours).clip(985, 1050).round(1),
                "visib": rng.uniform(4, 10, hours).round(1),
                "time_hour": [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments],
                "local": moments,
            }
        )
        for origin in origins
    ).with_columns(pl.col("wind_gust").fill_nan(None))


def _flights(
    rng: np.random.Generator,
    carriers: tuple[str, ...],
    origins: tuple[str, ...],
    airports: pl.DataFrame,
    distances: Mapping[str, int],
    tails: list[str],
    weather: pl.DataFrame,
    days: int,
) -> pl.DataFrame:
    routes = pl.DataFrame(
        {
            "carrier": rng.choice(carriers, FLIGHTS_A_DAY),
            "flight": np.arange(1, FLIGHTS_A_DAY + 1),
            "origin": rng.choice(origins, FLIGHTS_A_DAY),
            "dest": rng.choice(list(distances), FLIGHTS_A_DAY),
            "minute_of_day": rng.integers(6 * 60, 22 * 60, FLIGHTS_A_DAY),
        }
    ).with_columns(pl.col("dest").replace_strict(distances).alias("distance"))
    first = START.replace(hour=0, tzinfo=None)
    each_day = pl.DataFrame({"midnight": [first + timedelta(days=day) for day in range(days)]})
    planned = each_day.join(routes, how="cross").with_columns(
        (pl.col("midnight") + pl.duration(minutes="minute_of_day"))
        .dt.replace_time_zone(_HOME_ZONE)
        .dt.convert_time_zone("UTC")
        .alias("departs"),
        (20 + pl.col("distance") / _MILES_A_MINUTE).round().cast(pl.Int64).alias("air_time"),
    )
    rows = planned.height
    wind = weather.filter(pl.col("origin") == origins[0]).select(pl.col("local").alias("hour_begun"), "wind_speed")
    blown = planned.with_columns(pl.col("departs").dt.truncate("1h").alias("hour_begun")).join(
        wind.cast({"hour_begun": planned.schema["departs"]}), on="hour_begun", how="left", maintain_order="left"
    )
    punctual = {carrier: float(each) for carrier, each in zip(carriers, rng.uniform(-6, 6, len(carriers)), strict=True)}
    expected = (
        blown["minute_of_day"].to_numpy() / 60 * 2.5
        + blown["wind_speed"].fill_null(15).to_numpy() * 1.5
        + blown["carrier"].replace_strict(punctual).to_numpy() * 1.5
        - 63
    )
    dep_delay = (expected + rng.exponential(10, rows)).round().clip(-20, 600).astype(int)
    arr_delay = (dep_delay + rng.normal(-5, 6, rows)).round().clip(-60, 700).astype(int)
    flown = pl.lit(pl.Series(rng.random(rows) >= 0.03))
    zones = dict(airports.select("faa", "tzone").iter_rows())
    arrives = [
        (departs + timedelta(minutes=minutes + 30))
        for departs, minutes in zip(planned["departs"], planned["air_time"], strict=True)
    ]
    walls = [_wall(moment, zones[dest]) for moment, dest in zip(arrives, planned["dest"], strict=True)]
    return planned.select(
        pl.col("midnight").dt.year().alias("year"),
        pl.col("midnight").dt.month().alias("month"),
        pl.col("midnight").dt.day().alias("day"),
        pl.when(flown).then(pl.lit(pl.Series(dep_delay))).alias("dep_delay"),
        pl.Series("sched_arr_time", walls),
        pl.when(flown).then(pl.lit(pl.Series(arr_delay))).alias("arr_delay"),
        "carrier",
        "flight",
        pl.Series("tailnum", rng.choice(tails, rows)),
        "origin",
        "dest",
        pl.when(flown).then("air_time").alias("air_time"),
        "distance",
        (pl.col("minute_of_day") % 60).alias("minute"),
        pl.col("departs").dt.truncate("1h").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("time_hour"),
    )


def _wall(moment: datetime, zone: str) -> int:
    """The wall clock in ``zone`` as the files write it: 1735 is 17:35."""
    local = moment.astimezone(ZoneInfo(zone))
    return local.hour * 100 + local.minute
