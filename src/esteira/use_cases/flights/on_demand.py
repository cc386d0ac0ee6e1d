"""Features computed at request time: the local clock, the calendar, and how late the aircraft is expected to be.

One row at a time in plain Python, because that is what a request is; a missing input is None and so is what follows
from it. Moments are whole seconds since 1970, UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
NEAR_HOLIDAY_DAYS = 10

INPUTS = (
    "scheduled_departure",
    "scheduled_arrival",
    "predicted_at",
    "previous_leg_due_out_at",
    "previous_leg_due_in_at",
    "aircraft_departed_at",
    "aircraft_departure_was_due_at",
    "aircraft_last_dep_delay",
    "aircraft_arrived_at",
    "aircraft_arrival_was_due_out_at",
    "aircraft_last_arr_delay",
)
OUTPUTS = (
    "local_hour",
    "local_day_of_week",
    "days_from_holiday",
    "block_minutes",
    "minutes_since_aircraft_departed",
    "minutes_since_aircraft_arrived",
    "turnaround_slack_minutes",
    "previous_leg_state",
    "previous_leg_delay_minutes",
    "expected_knock_on_minutes",
)


def request_features(inputs: Mapping[str, Sequence[Any]]) -> dict[str, list[float | None]]:
    """Columns of ``OUTPUTS`` from columns of ``INPUTS``, row by row; other columns are passed over."""
    rows = [row_features(*values) for values in zip(*(inputs[name] for name in INPUTS), strict=True)]
    columns = zip(*rows, strict=True) if rows else ([] for _ in OUTPUTS)
    return {name: list(column) for name, column in zip(OUTPUTS, columns, strict=True)}


def row_features(
    departure: float | None,
    arrival: float | None,
    asked: float | None,
    previous_out: float | None,
    previous_in: float | None,
    left_at: float | None,
    left_due: float | None,
    left_delay: float | None,
    landed_at: float | None,
    landed_due: float | None,
    landed_delay: float | None,
) -> tuple[float | None, ...]:
    """One row of ``OUTPUTS``, in order."""
    local = None if absent(departure) else datetime.fromtimestamp(departure, UTC).astimezone(NEW_YORK)  # type: ignore[arg-type]
    slack = turnaround_slack(departure, previous_out, previous_in)
    state, delay = previous_leg(asked, previous_out, left_due, left_delay, landed_due, landed_delay)
    return (
        None if local is None else local.hour + local.minute / 60,
        None if local is None else float(local.weekday()),
        None if local is None else days_from_holiday(local.date()),
        minutes_between(departure, arrival),
        minutes_between(left_at, asked),
        minutes_between(landed_at, asked),
        slack,
        state,
        delay,
        None if delay is None or slack is None else delay - slack,
    )


def absent(value: float | None) -> bool:
    """Whether there is no value: None, or the NaN that a table makes of it."""
    return value is None or value != value  # noqa: PLR0124


def minutes_between(start: float | None, end: float | None) -> float | None:
    """Minutes from ``start`` to ``end``, both in seconds."""
    return None if absent(start) or absent(end) else (end - start) / 60  # type: ignore[operator]


def turnaround_slack(departure: float | None, previous_out: float | None, previous_in: float | None) -> float | None:
    """Minutes the plan leaves the aircraft on the ground: out, back in the same time, and the rest is slack."""
    outward = minutes_between(previous_out, previous_in)
    gap = minutes_between(previous_in, departure)
    return None if outward is None or gap is None else gap - outward


def previous_leg(
    asked: float | None,
    previous_out: float | None,
    left_due: float | None,
    left_delay: float | None,
    landed_due: float | None,
    landed_delay: float | None,
) -> tuple[float | None, float | None]:
    """How far the aircraft's leg before this one has come, and its delay in minutes as far as that tells.

    States: 3 landed, 2 left, 1 overdue (the delay so far), 0 not due yet (no delay known); None without such a leg.
    """
    if absent(previous_out) or absent(asked):
        return None, None
    if landed_due == previous_out:
        return 3.0, None if absent(landed_delay) else float(landed_delay)  # type: ignore[arg-type]
    if left_due == previous_out:
        return 2.0, None if absent(left_delay) else float(left_delay)  # type: ignore[arg-type]
    overdue = (asked - previous_out) / 60  # type: ignore[operator]
    return (1.0, overdue) if overdue > 0 else (0.0, None)


def days_from_holiday(day: date) -> float | None:
    """Days since the nearest US holiday, negative before it; None when none is near.

    >>> days_from_holiday(date(2013, 11, 27)), days_from_holiday(date(2013, 3, 14))
    (-1.0, None)
    """
    near = min(((day - holiday).days for holiday in holidays_around(day.year)), key=abs)
    return float(near) if abs(near) <= NEAR_HOLIDAY_DAYS else None


@lru_cache(maxsize=64)
def holidays_around(year: int) -> tuple[date, ...]:
    """The holidays Americans travel for, from New Year of ``year`` to New Year of the next."""
    return (
        date(year, 1, 1),
        weekday_of_month(year, 1, 0, 3),  # Martin Luther King Day
        weekday_of_month(year, 2, 0, 3),  # Presidents' Day
        weekday_of_month(year, 6, 0, 1) - timedelta(days=7),  # Memorial Day: the last Monday of May
        date(year, 7, 4),
        weekday_of_month(year, 9, 0, 1),  # Labor Day
        weekday_of_month(year, 11, 3, 4),  # Thanksgiving
        date(year, 12, 25),
        date(year + 1, 1, 1),
    )


def weekday_of_month(year: int, month: int, weekday: int, nth: int) -> date:
    """The ``nth`` such weekday (Monday is 0) of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
