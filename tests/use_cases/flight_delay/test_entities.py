"""Which flights are asked about, when, and which airports and airlines may be named."""

from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, utc
from esteira.use_cases.flight_delay import USE_CASE
from esteira.use_cases.flight_delay.entities import upcoming_flights
from esteira.use_cases.flights.schedules import allowed_values
from esteira.use_cases.flights.tables import SCHEDULES, START

AS_OF = utc("2013-03-01")


def schedules() -> pl.DataFrame:
    return USE_CASE.source.read("schedules", START - timedelta(seconds=1), AS_OF)


def test_a_flight_is_asked_about_two_hours_before_it_should_leave() -> None:
    entities = upcoming_flights({"schedules": schedules()})
    seconds = entities.select(
        pl.col("scheduled_departure") - pl.col("predicted_at"), pl.col(EVENT).dt.epoch("s") - pl.col("predicted_at")
    )
    assert seconds.unique().rows() == [(7200, 0)]


def test_an_entity_row_holds_the_keys_and_everything_a_request_brings() -> None:
    entities = upcoming_flights({"schedules": schedules()})
    assert set(entities.columns) == {*USE_CASE.entity_keys, *USE_CASE.request_inputs, EVENT, CREATED}
    assert entities[USE_CASE.entity_id].is_unique().all()
    assert entities.select(USE_CASE.request_inputs).dtypes == [pl.Int64()] * 3


def test_the_flights_of_the_horizon_are_known() -> None:
    ahead = upcoming_flights({"schedules": schedules()}).filter(
        pl.col(EVENT).is_between(AS_OF, AS_OF + USE_CASE.horizon, closed="right")
    )
    assert ahead.height > 1_000
    assert (ahead[CREATED] <= AS_OF).all()


def test_a_flight_published_again_counts_once_as_last_published() -> None:
    first = dict.fromkeys(SCHEDULES.columns) | {
        "flight_id": "a",
        "tailnum": "N1",
        "scheduled_departure": AS_OF,
        "scheduled_arrival": AS_OF,
        EVENT: START,
        CREATED: START,
    }
    again = {**first, "tailnum": "N2", CREATED: START + timedelta(days=1)}
    rows = pl.DataFrame([again, first], schema=SCHEDULES.schema)
    assert upcoming_flights({"schedules": rows})["tailnum"].to_list() == ["N2"]


def test_airports_and_airlines_are_those_of_the_schedules() -> None:
    allowed = allowed_values({"schedules": schedules()})
    assert allowed["origin"] == ("EWR", "JFK", "LGA")
    assert "LAX" in allowed["dest"]
    assert "XXX" not in allowed["dest"]
    assert allowed["carrier"][:3] == ("9E", "AA", "AS")
