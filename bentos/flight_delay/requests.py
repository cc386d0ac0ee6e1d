"""What one asks about a flight, and how it becomes entity keys and request inputs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from esteira.errors import InvalidRequest
from esteira.serving.answers import Request

_LONGEST_BLOCK = timedelta(hours=24)
_FURTHEST_AHEAD = timedelta(days=400)
_LONGEST_PAST = timedelta(days=2)
EXAMPLE: dict[str, Any] = {
    "flight_id": "2013-03-01-UA1545-EWR-IAH",
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "dest": "IAH",
    "tailnum": "N14228",
    "scheduled_departure": "2013-03-01T05:15:00-05:00",
    "scheduled_arrival": "2013-03-01T08:19:00-06:00",
}


class Flight(Request):
    """A scheduled flight, as the timetable knows it."""

    flight_id: str = Field(min_length=1, max_length=64, description="Local date, carrier and number, origin, dest.")
    carrier: str = Field(min_length=2, max_length=3)
    flight: int = Field(ge=1, le=9999, description="The flight number.")
    origin: str = Field(min_length=3, max_length=3)
    dest: str = Field(min_length=3, max_length=3)
    tailnum: str | None = Field(default=None, min_length=1, max_length=10, description="The aircraft, if assigned.")
    scheduled_departure: AwareDatetime
    scheduled_arrival: AwareDatetime

    @model_validator(mode="after")
    def _arrives_after_it_departs(self) -> Self:
        if not timedelta() < self.scheduled_arrival - self.scheduled_departure < _LONGEST_BLOCK:
            raise ValueError(
                f"scheduled_arrival {self.scheduled_arrival.isoformat()} is not within 24 hours after "
                f"scheduled_departure {self.scheduled_departure.isoformat()}"
            )
        return self


class Flights(Request):
    """Flights to predict for, and optionally the moment whose knowledge to use."""

    model_config = ConfigDict(json_schema_extra={"example": {"flights": [EXAMPLE]}})

    flights: list[Flight] = Field(min_length=1, max_length=1000)
    as_of: AwareDatetime | None = Field(default=None, description="Default: now. Nothing known later is used.")


class FlightIds(Request):
    """Flights whose precomputed predictions are asked for."""

    model_config = ConfigDict(json_schema_extra={"example": {"flight_ids": [EXAMPLE["flight_id"]]}})

    flight_ids: list[str] = Field(min_length=1, max_length=1000)


def columns(flights: Sequence[Flight], as_of: datetime) -> Mapping[str, Sequence[Any]]:
    """Entity keys and request inputs of n flights asked about at ``as_of``; moments are whole unix seconds.

    Raises InvalidRequest when a departure lies absurdly far from ``as_of``.
    """
    for flight in flights:
        if not -_LONGEST_PAST <= flight.scheduled_departure - as_of <= _FURTHEST_AHEAD:
            raise InvalidRequest(
                f"Flight {flight.flight_id!r} departs at {flight.scheduled_departure.isoformat()}, asked about as of "
                f"{as_of.isoformat()}. Expected a departure from 2 days before to 400 days after; "
                "give as_of to ask about another time."
            )
    return {
        "flight_id": [each.flight_id for each in flights],
        "carrier": [each.carrier for each in flights],
        "flight": [each.flight for each in flights],
        "origin": [each.origin for each in flights],
        "dest": [each.dest for each in flights],
        "tailnum": [each.tailnum for each in flights],
        "scheduled_departure": [int(each.scheduled_departure.timestamp()) for each in flights],
        "scheduled_arrival": [int(each.scheduled_arrival.timestamp()) for each in flights],
        "predicted_at": [int(as_of.timestamp())] * len(flights),
    }
