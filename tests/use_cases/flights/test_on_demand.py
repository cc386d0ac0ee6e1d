"""Features of the moment of asking: the clock in New York, holidays, and the aircraft's way here."""

from datetime import date, timedelta
from typing import Any

import pytest

from esteira.contract import utc
from esteira.use_cases.flights.on_demand import INPUTS, OUTPUTS, days_from_holiday, holidays_around, request_features

DEPARTURE = utc("2013-03-01T20:00Z")


def seconds(hours: float) -> int:
    """Seconds since 1970, some hours before departure."""
    return int((DEPARTURE - timedelta(hours=hours)).timestamp())


def features(**inputs: Any) -> dict[str, Any]:
    asked = {"scheduled_departure": seconds(0), "scheduled_arrival": seconds(-3), "predicted_at": seconds(2)}
    row = {**dict.fromkeys(INPUTS), **asked, **inputs}
    return {name: values[0] for name, values in request_features({k: [v] for k, v in row.items()}).items()}


@pytest.mark.parametrize(
    ("departure", "hour", "weekday"),
    [
        ("2013-03-10T06:59Z", 1 + 59 / 60, 6.0),  # the last minute of winter time
        ("2013-03-10T07:00Z", 3.0, 6.0),  # and the next
        ("2013-03-11T03:30Z", 23.5, 6.0),
        ("2013-11-03T05:30Z", 1.5, 6.0),  # half past one, twice
        ("2013-11-03T06:30Z", 1.5, 6.0),
        ("2013-11-04T04:30Z", 23.5, 6.0),
        ("2013-07-04T12:15Z", 8.25, 3.0),
    ],
)
def test_the_hour_is_new_yorks_through_both_changes_of_clocks(departure: str, hour: float, weekday: float) -> None:
    found = features(scheduled_departure=int(utc(departure).timestamp()))
    assert (found["local_hour"], found["local_day_of_week"]) == (hour, weekday)


def test_the_previous_leg_is_followed_from_plan_to_landing() -> None:
    # Due out 8 hours before this flight, 2 hours each way: 8 - 2 - 2 = 4 hours of slack, asked 2 hours before.
    leg = {"previous_leg_due_out_at": seconds(8), "previous_leg_due_in_at": seconds(6)}
    names = ("previous_leg_state", "previous_leg_delay_minutes", "expected_knock_on_minutes")

    def state(**more: Any) -> tuple[Any, ...]:
        found = features(**leg, **more)
        assert found["turnaround_slack_minutes"] == 240.0
        return tuple(found[name] for name in names)

    assert state(predicted_at=seconds(9)) == (0.0, None, None)
    assert state(predicted_at=seconds(7)) == (1.0, 60.0, -180.0)
    left = {"aircraft_departure_was_due_at": seconds(8), "aircraft_last_dep_delay": 300.0}
    assert state(**left) == (2.0, 300.0, 60.0)
    landed = {"aircraft_arrival_was_due_out_at": seconds(8), "aircraft_last_arr_delay": 280}
    assert state(**left, **landed) == (3.0, 280.0, 40.0)
    older = {"aircraft_departure_was_due_at": seconds(30), "aircraft_last_dep_delay": 5.0}
    assert state(**older) == (1.0, 360.0, 120.0)


def test_what_is_missing_stays_missing() -> None:
    nothing = request_features({name: [None] for name in INPUTS})
    assert nothing == {name: [None] for name in OUTPUTS}
    assert request_features({name: [float("nan")] for name in INPUTS}) == nothing
    assert request_features({name: [] for name in INPUTS}) == {name: [] for name in OUTPUTS}


def test_many_rows_at_once_equal_one_at_a_time() -> None:
    inputs = {name: [seconds(place + row) for row in range(5)] for place, name in enumerate(INPUTS)}
    together = request_features(inputs)
    alone = [request_features({name: [values[row]] for name, values in inputs.items()}) for row in range(5)]
    assert together == {name: [row[name][0] for row in alone] for name in OUTPUTS}


def test_holidays_of_2013_are_the_calendars() -> None:
    days = ("01-01", "01-21", "02-18", "05-27", "07-04", "09-02", "11-28", "12-25")
    assert holidays_around(2013) == (*(date.fromisoformat(f"2013-{day}") for day in days), date(2014, 1, 1))


def test_the_nearest_holiday_counts_from_both_sides_and_across_new_year() -> None:
    assert [days_from_holiday(date(2013, 12, day)) for day in (5, 20, 28, 29, 31)] == [7.0, -5.0, 3.0, -3.0, -1.0]
    assert days_from_holiday(date(2013, 12, 9)) is None
