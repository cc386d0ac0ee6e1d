"""What flight_delay looks at: everything that is known of a flight two hours ahead."""

from feast import FeatureService
from flights import (  # type: ignore[import-not-found]  # Feast puts this folder on the path
    aircraft_arrivals,
    aircraft_departures,
    carrier_origin_traffic,
    carrier_traffic,
    dest_facts,
    dest_landings,
    dest_traffic,
    flight_number_history,
    flight_plan,
    origin_landings,
    origin_traffic,
    origin_weather,
    plane_facts,
    published_plan,
    route_history,
)
from flights_at_request import flight_at_request  # type: ignore[import-not-found]

from esteira.use_cases.flights.asked import OWNER

flight_delay_v1 = FeatureService(
    name="flight_delay_v1",
    description="What flight_delay looks at two hours before scheduled departure.",
    owner=OWNER,
    features=[
        flight_plan[[*published_plan, "previous_leg_distance_miles"]],
        flight_at_request,
        origin_traffic,
        origin_landings,
        carrier_traffic,
        carrier_origin_traffic,
        dest_traffic,
        dest_landings,
        flight_number_history,
        route_history,
        aircraft_departures[["aircraft_last_dep_delay"]],
        aircraft_arrivals[["aircraft_last_arr_delay"]],
        origin_weather,
        plane_facts,
        dest_facts,
    ],
)
