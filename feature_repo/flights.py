"""What the features of flights are called: entities and views in Feast's terms.

How each is computed stands in src/esteira/use_cases/flights; here are names, types, meanings, owners and freshness.
A view's ttl is its longest window: what is older than that says nothing about now.
"""

from datetime import timedelta
from functools import partial

from feast import Entity, ValueType

from esteira.contract import SENSITIVITY
from esteira.features import views
from esteira.features.views import FOREVER, count, number, word
from esteira.use_cases.flights.asked import OWNER

view = partial(views.view, owner=OWNER)

flight_id = Entity(
    name="flight_id",
    join_keys=["flight_id"],
    value_type=ValueType.STRING,
    description="One flight on one day, such as 2013-03-01-UA1545-EWR-IAH (local date).",
)
carrier = Entity(
    name="carrier", join_keys=["carrier"], value_type=ValueType.STRING, description="Airline, two-letter code."
)
flight = Entity(name="flight", join_keys=["flight"], value_type=ValueType.INT64, description="Flight number.")
origin = Entity(
    name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="Airport of departure, FAA code."
)
dest = Entity(name="dest", join_keys=["dest"], value_type=ValueType.STRING, description="Destination, FAA code.")
tailnum = Entity(
    name="tailnum",
    join_keys=["tailnum"],
    value_type=ValueType.STRING,
    description="The aircraft's registration.",
    # It leads to an owner: values are masked wherever people look, and shown for a stated purpose only.
    tags={SENSITIVITY: "pii"},
)


origin_traffic = view(
    "origin_traffic",
    "How traffic leaves an airport of departure.",
    [origin],
    [
        number("origin_dep_delay_mean_1h", "Mean departure delay in minutes of the last hour's departures."),
        number("origin_dep_delay_mean_2h", "Mean departure delay in minutes of the last 2 hours' departures."),
        number("origin_dep_delay_mean_3h", "Mean departure delay in minutes of the last 3 hours' departures."),
        number("origin_dep_delay_mean_24h", "Mean departure delay in minutes of the last day's departures."),
        number("origin_late_share_1h", "Share of the last hour's departures that left 15 minutes late or more."),
        number("origin_late_share_3h", "Share of the last 3 hours' departures that left 15 minutes late or more."),
        count("origin_departures_count_1h", "Departures in the last hour."),
        number("origin_waiting_flights_6h", "Flights due in the last 6 hours less those that left or were cancelled."),
    ],
    ttl=timedelta(hours=24),
    reads="due, departures, cancellations",
    window="1h, 2h, 3h, 6h, 24h",
)

origin_landings = view(
    "origin_landings",
    "How flights from an airport fared that have landed in the meantime.",
    [origin],
    [
        number("origin_taxi_minutes_mean_3h", "Mean minutes on the ground, both ends, of flights landed in 3 hours."),
        number("origin_block_overrun_mean_3h", "Mean gate-to-gate minutes over plan of flights landed in 3 hours."),
        number("origin_arr_delay_mean_3h", "Mean arrival delay in minutes of flights landed in the last 3 hours."),
    ],
    ttl=timedelta(hours=24),
    reads="arrivals",
    window="3h",
)

carrier_traffic = view(
    "carrier_traffic",
    "How an airline's flights leave New York.",
    [carrier],
    [
        number("carrier_dep_delay_mean_3h", "Mean departure delay in minutes over the last 3 hours."),
        number("carrier_waiting_flights_6h", "Flights due in the last 6 hours less those that left or were cancelled."),
        number("carrier_cancelled_count_24h", "Cancellations announced in the last day."),
        number("carrier_dep_delay_mean_7d", "Mean departure delay in minutes over the last week."),
        number("carrier_late_share_7d", "Share of the last week's departures that left 15 minutes late or more."),
    ],
    ttl=timedelta(days=7),
    reads="due, departures, cancellations",
    window="3h, 6h, 24h, 7d",
)

carrier_origin_traffic = view(
    "carrier_origin_traffic",
    "How an airline's flights leave one airport.",
    [carrier, origin],
    [
        number("carrier_origin_dep_delay_mean_1h", "Mean departure delay in minutes over the last hour."),
        number("carrier_origin_dep_delay_mean_3h", "Mean departure delay in minutes over the last 3 hours."),
        number("carrier_origin_dep_delay_mean_6h", "Mean departure delay in minutes over the last 6 hours."),
        number("carrier_origin_late_share_6h", "Share of departures in 6 hours that left 15 minutes late or more."),
        number("carrier_origin_waiting_flights_6h", "Flights due in 6 hours less those that left or were cancelled."),
    ],
    ttl=timedelta(hours=24),
    reads="due, departures, cancellations",
    window="1h, 3h, 6h",
)

dest_traffic = view(
    "dest_traffic",
    "How flights to a destination leave New York; holds for the destination's weather and traffic show here first.",
    [dest],
    [
        number("dest_dep_delay_mean_3h", "Mean departure delay in minutes over the last 3 hours."),
        number("dest_dep_delay_mean_6h", "Mean departure delay in minutes over the last 6 hours."),
        number("dest_waiting_flights_6h", "Flights due in the last 6 hours less those that left or were cancelled."),
    ],
    ttl=timedelta(hours=24),
    reads="due, departures, cancellations",
    window="3h, 6h",
)

dest_landings = view(
    "dest_landings",
    "How flights arrive at a destination.",
    [dest],
    [
        number("dest_arr_delay_mean_6h", "Mean arrival delay in minutes over the last 6 hours."),
        number("dest_arr_delay_mean_24h", "Mean arrival delay in minutes over the last day."),
        number("dest_late_share_24h", "Share of the last day's arrivals that were 15 minutes late or more."),
        number("dest_block_overrun_mean_6h", "Mean gate-to-gate minutes over plan of the last 6 hours' arrivals."),
    ],
    ttl=timedelta(hours=24),
    reads="arrivals",
    window="6h, 24h",
)

flight_number_history = view(
    "flight_number_history",
    "How flights of this number arrived.",
    [carrier, flight],
    [
        number("flight_number_arr_delay_mean_7d", "Mean arrival delay in minutes over the last week."),
        number("flight_number_late_share_7d", "Share of arrivals 15 minutes late or more over the last week."),
        number("flight_number_arr_delay_mean_30d", "Mean arrival delay in minutes over the last 30 days."),
        number("flight_number_late_share_30d", "Share of arrivals 15 minutes late or more over the last 30 days."),
        number("flight_number_dep_delay_mean_30d", "Mean departure delay in minutes over the last 30 days."),
        number("flight_number_block_overrun_mean_30d", "Mean gate-to-gate minutes over plan, last 30 days."),
        count("flight_number_arrivals_count_30d", "Arrivals in the last 30 days."),
    ],
    ttl=timedelta(days=30),
    reads="arrivals",
    window="7d, 30d",
)

route_history = view(
    "route_history",
    "How flights between two airports arrived.",
    [origin, dest],
    [
        number("route_arr_delay_mean_24h", "Mean arrival delay in minutes over the last day."),
        number("route_late_share_30d", "Share of arrivals 15 minutes late or more over the last 30 days."),
        number("route_block_overrun_mean_7d", "Mean gate-to-gate minutes over plan over the last week."),
    ],
    ttl=timedelta(days=30),
    reads="arrivals",
    window="24h, 7d, 30d",
)

aircraft_departures = view(
    "aircraft_departures",
    "The aircraft's last leg out of New York, as known when it left.",
    [tailnum],
    [
        count("aircraft_departed_at", "When it left, in seconds since 1970 (UTC)."),
        count("aircraft_departure_was_due_at", "When it should have left, in seconds since 1970 (UTC)."),
        number("aircraft_last_dep_delay", "Its departure delay in minutes."),
    ],
    ttl=timedelta(days=2),
    reads="departures",
)

aircraft_arrivals = view(
    "aircraft_arrivals",
    "The aircraft's last leg out of New York, as known when it landed.",
    [tailnum],
    [
        count("aircraft_arrived_at", "When it landed, in seconds since 1970 (UTC)."),
        count("aircraft_arrival_was_due_out_at", "When that leg should have left, in seconds since 1970 (UTC)."),
        number("aircraft_last_arr_delay", "Its arrival delay in minutes."),
    ],
    ttl=timedelta(days=2),
    reads="arrivals",
)

origin_weather = view(
    "origin_weather",
    "The last weather report at the airport of departure.",
    [origin],
    [
        number("weather_temp", "Temperature in degrees Fahrenheit."),
        number("weather_spread", "Temperature less dew point in degrees Fahrenheit: near 0 is fog."),
        number("weather_humid", "Relative humidity in percent."),
        number("weather_wind_dir", "Wind direction in degrees."),
        number("weather_wind_speed", "Wind speed in miles per hour."),
        number("weather_wind_gust", "Gusts in miles per hour; the wind's speed where none were reported."),
        number("weather_precip", "Precipitation of the hour in inches."),
        number("weather_pressure", "Pressure at sea level in millibars."),
        number("weather_visib", "Visibility in miles."),
        number("weather_precip_sum_3h", "Precipitation of 3 hours in inches."),
        number("weather_precip_sum_12h", "Precipitation of 12 hours in inches."),
        number("weather_visib_mean_3h", "Mean visibility over 3 hours in miles."),
        number("weather_pressure_trend_6h", "Pressure less its mean over 6 hours, in millibars."),
    ],
    ttl=timedelta(hours=12),
    reads="weather",
    window="3h, 6h, 12h",
)

plane_facts = view(
    "plane_facts",
    "What the aircraft registry says about a plane.",
    [tailnum],
    [
        count("plane_seats", "Number of seats."),
        count("plane_built_year", "Year of manufacture."),
    ],
    ttl=FOREVER,
    reads="planes",
)

dest_facts = view(
    "dest_facts",
    "Where a destination lies.",
    [dest],
    [
        number("dest_latitude", "Degrees north."),
        number("dest_longitude", "Degrees east; America's are negative."),
    ],
    ttl=FOREVER,
    reads="airports",
)

flight_plan = view(
    "flight_plan",
    "The flight as published a week ahead.",
    [flight_id],
    [
        word("airline", "Airline, two-letter code."),
        word("departs_from", "Airport of departure, FAA code."),
        word("arrives_at", "Destination, FAA code."),
        count("distance_miles", "Distance in miles."),
        count("origin_planned_count_1h", "Flights planned to leave the airport in the hour up to this one."),
        count("carrier_planned_count_3h", "As above, of the same airline, in 3 hours."),
        count("previous_leg_due_out_at", "When the aircraft's leg before should leave, in seconds since 1970 (UTC)."),
        count("previous_leg_due_in_at", "When that leg should arrive, in seconds since 1970 (UTC)."),
        count("previous_leg_distance_miles", "Distance of that leg in miles."),
    ],
    ttl=FOREVER,
    reads="schedules",
    window="1h, 3h",
)

# What is published of a flight and means something to any model: the rest of flight_plan is for the aircraft's day.
published_plan = [
    "airline",
    "departs_from",
    "arrives_at",
    "distance_miles",
    "origin_planned_count_1h",
    "carrier_planned_count_3h",
]
