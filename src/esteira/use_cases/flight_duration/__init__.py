"""flight_duration: how many minutes a flight will take from gate to gate, asked a day before it should leave."""

from datetime import timedelta

from esteira.contract import MonitorLimits, ServingPolicy, UseCase
from esteira.limits import GateLimits
from esteira.use_cases.flight_duration.entities import planned_flights
from esteira.use_cases.flight_duration.labels import gate_to_gate_minutes
from esteira.use_cases.flight_duration.model import CANDIDATES
from esteira.use_cases.flights.asked import ENTITY_ID, ENTITY_KEYS, ONLY_NEW_YORK, OWNER, REQUEST_INPUTS, SLICES
from esteira.use_cases.flights.features import FEATURE_TABLES
from esteira.use_cases.flights.schedules import allowed_values
from esteira.use_cases.flights.source import FlightsSource

USE_CASE = UseCase(
    name="flight_duration",
    purpose="Tell planners a day ahead how long a flight will really take, with a range it will rarely leave.",
    owner=OWNER,
    kind="regression",
    source=FlightsSource(),
    feature_tables=FEATURE_TABLES,
    feature_service="flight_duration_v1",
    entity_id=ENTITY_ID,
    entity_keys=ENTITY_KEYS,
    request_inputs=REQUEST_INPUTS,
    entity_reads=("schedules",),
    build_entities=planned_flights,
    outcome_reads=("arrivals",),
    build_outcomes=gate_to_gate_minutes,
    entity_values=allowed_values,
    slices=SLICES,
    # Asked 24 h ahead, left at most 21.7 h late in 2013, flew at most 11.6 h.
    label_delay=timedelta(days=3),
    # From any hour of the day, the whole of New York's day after tomorrow is ahead.
    horizon=timedelta(hours=36),
    holdout=timedelta(days=14),
    candidates=CANDIDATES,
    threshold=0.0,
    serving=ServingPolicy(
        due="scheduled_departure",
        # A day ahead nothing changes by the hour: the evening's batch is as good until the flight leaves.
        cached_for=timedelta(hours=30),
    ),
    # Nothing lands before a quarter of an hour, and nothing that leaves New York flies for 15 hours.
    bounds=(15.0, 900.0),
    gate=GateLimits(margin=0.15, baseline_gain=0.5, slice_margin=0.6, minimum_rows=4_000),
    monitor=MonitorLimits(minimum_rows=300, segment="origin", outcome_maturity=timedelta(days=3)),
    limits=(
        ONLY_NEW_YORK,
        "It is about flights that fly: cancelled and diverted ones have no such time and were not learned from.",
        "It knows the plan and what such flights took before, not tomorrow's winds: a jet stream shifts all of a day.",
    ),
)
