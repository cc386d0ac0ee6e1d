"""What flight_duration looks at: features of flights that still say something a day ahead."""

from feast import FeatureService
from flights import (  # type: ignore[import-not-found]  # Feast puts this folder on the path
    dest_facts,
    flight_number_history,
    flight_plan,
    plane_facts,
    published_plan,
    route_history,
)
from flights_at_request import flight_at_request  # type: ignore[import-not-found]

from esteira.use_cases.flights.asked import OWNER

flight_duration_v1 = FeatureService(
    name="flight_duration_v1",
    description="What flight_duration looks at a day before scheduled departure.",
    owner=OWNER,
    features=[
        flight_plan[published_plan],
        flight_at_request[["local_hour", "local_day_of_week", "days_from_holiday", "block_minutes"]],
        flight_number_history,
        route_history,
        plane_facts,
        dest_facts,
    ],
)
