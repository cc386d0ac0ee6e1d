"""Feature tables of flights: small cases by hand, and on real days increments equal the backfill."""

from datetime import timedelta

import polars as pl
import polars.testing
import pytest

from esteira.contract import CREATED, EVENT, MOMENT, FeatureTable, Frames, utc
from esteira.features.tables import compute_rows, earliest_needed
from esteira.use_cases.flights.features import (
    FEATURE_TABLES,
    aircraft_departures,
    flight_plan,
    origin_weather,
    plane_facts,
    previous_legs,
)
from esteira.use_cases.flights.source import FlightsSource
from esteira.use_cases.flights.tables import DEPARTURES, SCHEDULES, START, WEATHER

SOURCE = FlightsSource()
NOON = utc("2013-03-01T12:00:00Z")


def schedule(flight_id: str, tailnum: str | None, due: int, published: int = 0, block: int = 2) -> dict[str, object]:
    """A flight due some hours after noon, published some hours after the week before."""
    known = NOON - timedelta(days=7) + timedelta(hours=published)
    return {
        "flight_id": flight_id,
        "carrier": "B6",
        "flight": 1,
        "origin": "JFK",
        "dest": "BOS",
        "tailnum": tailnum,
        "scheduled_departure": NOON + timedelta(hours=due),
        "scheduled_arrival": NOON + timedelta(hours=due + block),
        "distance": 187,
        EVENT: known,
        CREATED: known,
    }


def schedules(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEDULES.schema)


def previous(*rows: dict[str, object]) -> dict[str, int]:
    """For each flight with a leg before it, the hours after noon at which that leg is due out."""
    found = previous_legs(schedules(*rows)).select("flight_id", "previous_leg_due_out_at").iter_rows()
    return {flight_id: (due - int(NOON.timestamp())) // 3600 for flight_id, due in found}


def test_the_previous_leg_is_the_same_aircrafts_newest_one_of_the_day_before() -> None:
    legs = [schedule("a", "N1", 0), schedule("b", "N1", 5), schedule("c", "N1", 9), schedule("other", "N2", 8)]
    assert previous(*legs) == {"b": 0, "c": 5}
    assert previous(schedule("a", "N1", 0), schedule("next day", "N1", 24)) == {"next day": 0}
    assert previous(schedule("a", "N1", 0), schedule("long after", "N1", 25)) == {}


def test_a_flight_without_aircraft_has_no_previous_leg_but_a_plan() -> None:
    frame = schedules(schedule("a", None, 0), schedule("b", None, 5))
    plan = flight_plan({"schedules": frame})
    assert plan["flight_id"].to_list() == ["a", "b"]
    assert plan["previous_leg_due_out_at"].null_count() == 2


def test_a_leg_published_later_does_not_change_what_a_flight_was_published_with() -> None:
    legs = [schedule("a", "N1", 0), schedule("b", "N1", 9), schedule("extra", "N1", 5, published=30)]
    assert previous(*legs) == {"b": 0, "extra": 0}


def test_the_plan_counts_the_hours_flights_published_so_far() -> None:
    frame = schedules(schedule("a", "N1", 0), schedule("b", "N2", 0), schedule("late", "N3", 0, published=30))
    loads = dict(flight_plan({"schedules": frame}).select("flight_id", "origin_planned_count_1h").iter_rows())
    assert loads == {"a": 2, "b": 2, "late": 3}


def test_the_aircrafts_last_leg_carries_its_times_as_seconds() -> None:
    leg = {**schedule("a", "N1", 0), "dep_delay": 20, EVENT: NOON + timedelta(minutes=20)}
    rows = aircraft_departures({"departures": pl.DataFrame([{**leg, CREATED: leg[EVENT]}], schema=DEPARTURES.schema)})
    assert rows.drop("tailnum", EVENT, CREATED).rows(named=True) == [
        {
            "aircraft_departed_at": int(NOON.timestamp()) + 20 * 60,
            "aircraft_departure_was_due_at": int(NOON.timestamp()),
            "aircraft_last_dep_delay": 20,
        }
    ]


def test_weather_without_gusts_has_the_winds_speed_and_pressure_a_trend() -> None:
    calm = {"origin": "JFK", "temp": 40.0, "dewp": 38.0, "wind_speed": 9.0, "precip": 0.1, "visib": 10.0}
    reports = [
        {**calm, "pressure": pressure, EVENT: NOON + timedelta(hours=hour), CREATED: NOON + timedelta(hours=hour)}
        for hour, pressure in enumerate([1010.0, 1008.0, 1003.0])
    ]
    newest = origin_weather({"weather": pl.DataFrame(reports, schema=WEATHER.schema)}).row(-1, named=True)
    assert newest["weather_wind_gust"] == 9.0
    assert newest["weather_spread"] == 2.0
    assert newest["weather_pressure_trend_6h"] == pytest.approx(-4.0)
    assert newest["weather_precip_sum_3h"] == pytest.approx(0.3, abs=1e-5)


def test_facts_are_known_from_the_start() -> None:
    planes = SOURCE.read("planes", START - timedelta(seconds=1), START)
    facts = plane_facts({"planes": planes})
    assert facts.height == 3_322
    assert facts.schema[EVENT] == MOMENT


def read(table: FeatureTable, after: object, until: object) -> Frames:
    return {name: SOURCE.read(name, after, until) for name in table.reads}  # type: ignore[arg-type]


@pytest.mark.parametrize("table", FEATURE_TABLES, ids=lambda table: table.name)
def test_three_real_days_in_increments_equal_the_backfill(table: FeatureTable) -> None:
    """Over the change of clocks on 10 March; each increment sees only its own look-back."""
    before, first, last = START - timedelta(seconds=1), utc("2013-03-09T05:00Z"), utc("2013-03-12T05:00Z")
    backfill = compute_rows(table, read(table, before, last), after=first, until=last)
    parts = []
    after = first
    while after < last:
        until = after + timedelta(hours=12)
        needed = earliest_needed(table, read(table, after, until))
        if needed is not None:
            known = {name: frame.filter(pl.col(EVENT) >= needed) for name, frame in read(table, before, until).items()}
            parts.append(compute_rows(table, known, after=after, until=until))
        after = until
    increments = pl.concat(parts) if parts else backfill.clear()
    pl.testing.assert_frame_equal(increments, backfill, check_exact=True)
    assert backfill.is_empty() == (table.name in {"plane_facts", "dest_facts"})


@pytest.mark.parametrize("table", FEATURE_TABLES, ids=lambda table: table.name)
def test_no_feature_row_is_known_before_the_records_it_is_made_of(table: FeatureTable) -> None:
    as_of = utc("2013-02-01T17:00Z")
    known = read(table, START - timedelta(seconds=1), as_of)
    rows = table.compute(known)
    assert rows[CREATED].max() <= max(frame[CREATED].max() for frame in known.values())  # type: ignore[type-var, operator]
    assert rows.select(*table.keys, EVENT, CREATED).is_unique().all()
    assert not any(rows[key].null_count() for key in table.keys)


@pytest.mark.parametrize("name", ["origin_traffic", "carrier_origin_traffic", "aircraft_departures"])
def test_a_corrected_departure_is_new_knowledge_and_changes_nothing_that_was_known(name: str) -> None:
    """A flight's delay turns out an hour longer, three hours after it left: only rows from then on say so."""
    table = next(table for table in FEATURE_TABLES if table.name == name)
    known = read(table, utc("2013-03-05T05:00Z"), utc("2013-03-06T05:00Z"))
    left = known["departures"].filter(pl.col("carrier") == "B6", pl.col("origin") == "JFK").row(60, named=True)
    corrected_at = left[CREATED] + timedelta(hours=3)
    moved = {**left, "dep_delay": left["dep_delay"] + 60, EVENT: left[EVENT] + timedelta(hours=1)}
    again = pl.DataFrame([{**moved, CREATED: corrected_at}], schema=DEPARTURES.schema)
    before = table.compute(known)
    after = table.compute({**known, "departures": pl.concat([known["departures"], again])})
    same = pl.col(CREATED) < corrected_at
    pl.testing.assert_frame_equal(after.filter(same), before.filter(same), check_row_order=False, check_exact=True)
    of_flight = pl.all_horizontal(pl.col(key) == left[key] for key in table.keys)
    reopened = after.filter(pl.col(CREATED) == corrected_at, of_flight)
    assert reopened[EVENT].min() == left[EVENT], "the moment it was first said to have left is re-opened without it"
    assert moved[EVENT] in reopened[EVENT]
