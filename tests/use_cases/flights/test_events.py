"""Streams of flight events: who is waiting, who was late, and when that is known."""

from datetime import timedelta

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, Frames, utc
from esteira.use_cases.flights.events import WINDOWED_TABLES, landings, traffic
from esteira.use_cases.flights.tables import ARRIVALS, CANCELLATIONS, DEPARTURES, DUE

NOON = utc("2013-03-01T12:00:00Z")


def minute(minutes: int) -> object:
    return NOON + timedelta(minutes=minutes)


def a_morning() -> Frames:
    """Three flights due at noon, ten and twenty past: one leaves 30 minutes late, one on time, one is cancelled."""
    common = {"carrier": "B6", "flight": 1, "origin": "JFK", "dest": "BOS", "tailnum": "N1", "distance": 187}

    def row(name: str, due: int, at: int, known: int, **more: object) -> dict[str, object]:
        times = {"scheduled_departure": minute(due), "scheduled_arrival": minute(due + 60)}
        return {**common, **times, "flight_id": name, EVENT: minute(at), CREATED: minute(known), **more}

    return {
        "due": pl.DataFrame([row("a", 0, 0, 0), row("b", 10, 10, 10), row("c", 20, 20, 20)], schema=DUE.schema),
        "departures": pl.DataFrame(
            [row("b", 10, 10, 10, dep_delay=0), row("a", 0, 30, 30, dep_delay=30)], schema=DEPARTURES.schema
        ),
        "cancellations": pl.DataFrame([row("c", 20, 20, 80)], schema=CANCELLATIONS.schema),
        "arrivals": pl.DataFrame(
            [row("a", 0, 95, 95, dep_delay=30, arr_delay=35, air_time=40, gate_minutes=65)], schema=ARRIVALS.schema
        ),
    }


def test_a_flight_waits_from_its_time_until_it_leaves_or_is_cancelled() -> None:
    table = next(table for table in WINDOWED_TABLES if table.name == "origin_traffic")
    rows = table.compute(a_morning())
    waiting = dict(rows.select(EVENT, "origin_waiting_flights_6h").iter_rows())
    assert waiting == {minute(0): 1, minute(10): 1, minute(20): 2, minute(30): 1, minute(80): 0}


def test_a_delay_is_known_when_the_flight_leaves_and_not_when_it_was_due() -> None:
    table = next(table for table in WINDOWED_TABLES if table.name == "origin_traffic")
    delays = dict(table.compute(a_morning()).select(EVENT, "origin_dep_delay_mean_1h").iter_rows())
    assert delays == {minute(0): None, minute(10): 0.0, minute(20): 0.0, minute(30): 15.0, minute(80): 30.0}


def test_a_cancellation_counts_from_its_announcement() -> None:
    cancelled = traffic(a_morning()).filter(pl.col("kind") == "cancelled")
    assert cancelled.select(EVENT, CREATED, "waiting", "cancelled").rows() == [(minute(80), minute(80), -1, 1)]


def test_a_landing_tells_its_minutes_on_the_ground_and_over_plan() -> None:
    landed = landings(a_morning()).select("late", "taxi_minutes", "block_overrun").rows()
    assert landed == [(1, 25, 5)]


@pytest.mark.parametrize("table", WINDOWED_TABLES, ids=lambda table: table.name)
def test_a_window_is_as_long_as_its_name_says_and_the_look_back_covers_it(table) -> None:  # type: ignore[no-untyped-def]
    rows = table.compute(a_morning())
    for name in set(rows.columns) - {*table.keys, EVENT, CREATED}:
        width, unit = int(name.rsplit("_", 1)[1][:-1]), name[-1]
        assert table.lookback > timedelta(**{{"h": "hours", "d": "days"}[unit]: width})
