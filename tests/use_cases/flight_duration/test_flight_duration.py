"""flight_duration: asked a day ahead, answered in minutes from gate to gate, from views it shares."""

from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, PREDICTED_AT, utc
from esteira.use_cases import flight_delay
from esteira.use_cases.flight_duration import USE_CASE
from esteira.use_cases.flight_duration.entities import planned_flights
from esteira.use_cases.flight_duration.labels import gate_to_gate_minutes
from esteira.use_cases.flights.tables import ARRIVALS, START

UNTIL = utc("2013-01-20")


def read(table: str) -> pl.DataFrame:
    return USE_CASE.source.read(table, START - timedelta(seconds=1), UNTIL)


def test_a_flight_is_asked_about_a_day_before_it_should_leave() -> None:
    entities = planned_flights({"schedules": read("schedules")})
    ahead = entities.select(pl.col("scheduled_departure") - pl.col(PREDICTED_AT)).unique()
    assert ahead.rows() == [(24 * 3600,)]
    assert set(entities.columns) == {*USE_CASE.entity_keys, *USE_CASE.request_inputs, EVENT, CREATED}


def test_the_outcome_is_the_minutes_between_the_gates_known_at_landing() -> None:
    row = dict.fromkeys(ARRIVALS.schema) | {"flight_id": "a", "gate_minutes": 192, EVENT: START, CREATED: START}
    diverted = {**row, "flight_id": "b", "gate_minutes": None}
    found = gate_to_gate_minutes({"arrivals": pl.DataFrame([row, diverted], schema=ARRIVALS.schema)})
    assert found.rows() == [("a", 192.0, START, START)]


def test_real_outcomes_lie_within_the_bounds_and_come_within_the_label_delay() -> None:
    outcomes = gate_to_gate_minutes({"arrivals": read("arrivals")})
    low, high = USE_CASE.bounds
    assert outcomes.height > 10_000
    assert outcomes["outcome"].is_between(low, high, closed="none").all()


def test_it_computes_no_feature_of_its_own() -> None:
    assert USE_CASE.feature_tables is flight_delay.USE_CASE.feature_tables
    assert USE_CASE.feature_service != flight_delay.USE_CASE.feature_service
