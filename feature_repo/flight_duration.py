"""What flight_duration looks at: features of flights that still say something a day ahead."""

from feast import FeatureService
from flights import (  # type: ignore[import-not-found]  # Feast puts this folder on the path
    OWNER,
    dest_facts,
    flight_at_request,
    flight_number_history,
    flight_plan,
    plane_facts,
    route_history,
)

flight_duration_v1 = FeatureService(
    name="flight_duration_v1",
    description="What flight_duration looks at a day before scheduled departure.",
    owner=OWNER,
    features=[
        flight_plan[
            [
                "airline",
                "departs_from",
                "arrives_at",
                "distance_miles",
                "origin_planned_count_1h",
                "carrier_planned_count_3h",
            ]
        ],
        flight_at_request[["local_hour", "local_day_of_week", "days_from_holiday", "block_minutes"]],
        flight_number_history,
        route_history,
        plane_facts,
        dest_facts,
    ],
)
