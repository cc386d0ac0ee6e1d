"""What is computed of a flight at the moment of asking: the request, and what stands about its aircraft in views."""

from typing import Any

from feast import Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64
from flights import (  # type: ignore[import-not-found]  # Feast puts this folder on the path
    aircraft_arrivals,
    aircraft_departures,
    flight_plan,
)

from esteira.use_cases.flights.asked import OWNER

flight_request = RequestSource(
    name="flight_request",
    description="What a request brings along, all in seconds since 1970 (UTC).",
    schema=[
        Field(name="scheduled_departure", dtype=Int64, description="Scheduled departure."),
        Field(name="scheduled_arrival", dtype=Int64, description="Scheduled arrival."),
        Field(name="predicted_at", dtype=Int64, description="The moment of asking."),
    ],
    owner=OWNER,
)


# Feast 0.67 loses the description of an on-demand view's field and then does not find the field again, because it
# compares descriptions too; the view's tags keep them.
AT_REQUEST = {
    "local_hour": "Hour of scheduled departure on New York's clock, minutes as fraction.",
    "local_day_of_week": "Day of scheduled departure in New York; Monday is 0.",
    "days_from_holiday": "Days since the nearest US holiday, negative before it; missing beyond 10.",
    "block_minutes": "Gate-to-gate minutes by the schedule in the request.",
    "minutes_since_aircraft_departed": "Minutes since the aircraft last left New York.",
    "minutes_since_aircraft_arrived": "Minutes since its last leg out of New York landed.",
    "turnaround_slack_minutes": "Minutes the plan leaves the aircraft for both turnarounds.",
    "previous_leg_state": "The aircraft's leg before: 3 landed, 2 left, 1 overdue, 0 not due yet.",
    "previous_leg_delay_minutes": "Delay of that leg in minutes, as far as it is known.",
    "expected_knock_on_minutes": "That delay less the slack: what is left over for this flight.",
}


@on_demand_feature_view(  # type: ignore[untyped-decorator]  # Feast has no types
    sources=[
        flight_request,
        flight_plan[["previous_leg_due_out_at", "previous_leg_due_in_at"]],
        aircraft_departures[["aircraft_departed_at", "aircraft_departure_was_due_at", "aircraft_last_dep_delay"]],
        aircraft_arrivals[["aircraft_arrived_at", "aircraft_arrival_was_due_out_at", "aircraft_last_arr_delay"]],
    ],
    schema=[Field(name=name, dtype=Float64) for name in AT_REQUEST],
    mode="python",
    description="Computed at the moment of asking: local clock, calendar, and how late the aircraft is expected.",
    owner=OWNER,
    tags={"source": "request, schedules, departures, arrivals", "window": "none", **AT_REQUEST},
)
def flight_at_request(inputs: dict[str, Any]) -> dict[str, Any]:
    """Lists in, lists out. Feast rebuilds this function from its text, so it imports inside."""
    from esteira.use_cases.flights.on_demand import request_features  # noqa: PLC0415

    return request_features(inputs)
