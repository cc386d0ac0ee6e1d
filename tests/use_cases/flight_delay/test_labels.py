"""What came of a flight, and when that is known."""

from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, utc
from esteira.use_cases.flight_delay import USE_CASE
from esteira.use_cases.flight_delay.entities import upcoming_flights
from esteira.use_cases.flight_delay.labels import arrived_late
from esteira.use_cases.flights.tables import ARRIVALS, START

BEFORE, END = START - timedelta(seconds=1), utc("2014-02-01")


def test_fifteen_minutes_late_is_late_and_fourteen_is_not() -> None:
    noon = utc("2013-03-01T12:00Z")
    landed = [
        {"flight_id": str(delay), "arr_delay": delay, EVENT: noon, CREATED: noon} for delay in (-60, 0, 14, 15, 400)
    ]
    outcomes = arrived_late({"arrivals": pl.DataFrame(landed, schema=ARRIVALS.schema)})
    assert outcomes["outcome"].to_list() == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert outcomes.select(EVENT, CREATED).unique().rows() == [(noon, noon)]


def test_a_cancelled_flight_has_no_outcome() -> None:
    outcomes = arrived_late({"arrivals": USE_CASE.source.read("arrivals", BEFORE, END)})
    cancelled = USE_CASE.source.read("cancellations", BEFORE, END)
    assert outcomes.join(cancelled, on="flight_id").is_empty()
    assert outcomes.height == 327_346


def test_an_outcome_is_known_after_it_was_asked_for_and_within_the_label_delay() -> None:
    asked = upcoming_flights({"schedules": USE_CASE.source.read("schedules", BEFORE, END)})
    outcomes = arrived_late({"arrivals": USE_CASE.source.read("arrivals", BEFORE, END)})
    waited = outcomes.join(asked.select("flight_id", pl.col(EVENT).alias("asked")), on="flight_id").select(
        pl.col(CREATED) - pl.col("asked")
    )
    assert waited.min().item() > timedelta(0)
    assert waited.max().item() <= USE_CASE.label_delay
