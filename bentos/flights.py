"""What one asks about a flight, whatever is to be predicted of it, and how it becomes keys and request inputs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from bentos.questions import MOST, MOST_LOOKED_UP, Features, Names, Questions, Rows
from esteira.errors import InvalidRequest
from esteira.serving.answers import Request
from esteira.use_cases.flights.on_demand import NEW_YORK

_LONGEST_BLOCK = timedelta(hours=24)
_FURTHEST_AHEAD = timedelta(days=400)
_LONGEST_PAST = timedelta(days=2)
_WHOLE = ("carrier", "flight", "origin", "dest", "scheduled_departure", "scheduled_arrival")
EXAMPLE: dict[str, Any] = {
    "flight_id": "2013-03-01-UA1545-EWR-IAH",
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "dest": "IAH",
    "tailnum": "N0TAIL",  # nobody's: a bento is packed with its examples, and no aircraft could be forgotten from it
    "scheduled_departure": "2013-03-01T05:15:00-05:00",
    "scheduled_arrival": "2013-03-01T08:19:00-06:00",
}


class Flight(Request):
    """A scheduled flight, as the timetable knows it; or its flight_id alone, if it was predicted ahead before."""

    flight_id: str = Field(min_length=1, max_length=64, description="Local date, carrier and number, origin, dest.")
    carrier: str | None = Field(default=None, min_length=2, max_length=3)
    flight: int | None = Field(default=None, ge=1, le=9999, description="The flight number.")
    origin: str | None = Field(default=None, min_length=3, max_length=3)
    dest: str | None = Field(default=None, min_length=3, max_length=3)
    tailnum: str | None = Field(default=None, min_length=1, max_length=10, description="The aircraft, if assigned.")
    scheduled_departure: AwareDatetime | None = None
    scheduled_arrival: AwareDatetime | None = None

    @property
    def is_named_only(self) -> bool:
        """Whether its keys must be looked up."""
        return self.carrier is None

    @model_validator(mode="after")
    def _is_whole_and_the_flight_it_names(self) -> Self:
        given = [name for name in (*_WHOLE, "tailnum") if getattr(self, name) is not None]
        if not given:
            return self
        if absent := [name for name in _WHOLE if name not in given]:
            raise ValueError(f"{', '.join(absent)} is missing; give the flight_id alone, or the whole flight")
        departure, arrival = self.scheduled_departure, self.scheduled_arrival
        if departure is None or arrival is None or not timedelta() < arrival - departure < _LONGEST_BLOCK:
            raise ValueError(
                f"scheduled_arrival {arrival} is not within 24 hours after scheduled_departure {departure}"
            )
        named = flight_id(departure, self.carrier, self.flight, self.origin, self.dest)
        if named != self.flight_id:
            raise ValueError(
                f"flight_id {self.flight_id!r} contradicts the rest of the flight, which makes it {named!r} "
                "(date in New York, carrier and number, origin, dest)"
            )
        return self


class Flights(Questions):
    """Flights to predict for, and optionally the moment whose knowledge to use."""

    model_config = ConfigDict(json_schema_extra={"example": {"flights": [EXAMPLE], "explain": True}})

    flights: list[Flight] = Field(min_length=1, max_length=MOST)

    @property
    def ids(self) -> list[str]:
        """The flights' names, in order."""
        return [each.flight_id for each in self.flights]

    @property
    def named_only(self) -> list[str]:
        """Those that are given by their flight_id alone."""
        return [each.flight_id for each in self.flights if each.is_named_only]

    def columns(self, known: Mapping[str, Mapping[str, Any]], as_of: datetime) -> Rows:
        """Entity keys and request inputs of the flights asked about at ``as_of``. Raises as ``columns_of``."""
        return columns_of(self.flights, known, as_of)


class FlightIds(Names):
    """Flights whose precomputed predictions are asked for."""

    model_config = ConfigDict(json_schema_extra={"example": {"flight_ids": [EXAMPLE["flight_id"]]}})

    flight_ids: list[str] = Field(min_length=1, max_length=MOST_LOOKED_UP)

    @property
    def ids(self) -> list[str]:
        """The flights' names, in order."""
        return self.flight_ids


class FlightFeatures(Features):
    """Feature values to predict from as they are, without looking anything up."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "rows": [
                    {
                        "name": "an evening flight of a known kind",
                        "features": {"local_hour": 19.5, "airline": "UA", "block_minutes": 215.0},
                    }
                ]
            }
        }
    )


def probe(moment: datetime, *, before: timedelta) -> Rows:
    """A question every release must be able to answer before it serves, asked ``before`` departure."""
    departure = moment + before
    flight = {**EXAMPLE, "scheduled_departure": departure, "scheduled_arrival": departure + timedelta(hours=4)}
    name = flight_id(departure, EXAMPLE["carrier"], EXAMPLE["flight"], EXAMPLE["origin"], EXAMPLE["dest"])
    return columns_of([Flight(**{**flight, "flight_id": name})], {}, moment)


def flight_id(
    departure: datetime, carrier: str | None, flight: int | None, origin: str | None, dest: str | None
) -> str:
    """The name of a flight: its local date in New York, carrier and number, origin, dest."""
    return f"{departure.astimezone(NEW_YORK).date()}-{carrier}{flight}-{origin}-{dest}"


def columns_of(flights: Sequence[Flight], known: Mapping[str, Mapping[str, Any]], as_of: datetime) -> Rows:
    """Entity keys and request inputs of n flights asked about at ``as_of``; moments are whole unix seconds.

    ``known`` has them for the flights that are given by name only. Raises InvalidRequest when a departure lies absurdly
    far from ``as_of``.
    """
    asked = int(as_of.timestamp())
    rows = [known[each.flight_id] if each.is_named_only else _row(each) for each in flights]
    for row in rows:
        ahead = timedelta(seconds=row["scheduled_departure"] - asked)
        if not -_LONGEST_PAST <= ahead <= _FURTHEST_AHEAD:
            raise InvalidRequest(
                f"Flight {row['flight_id']!r} departs {ahead} after {as_of.isoformat()}, the moment asked about. "
                "Expected a departure from 2 days before to 400 days after; give as_of to ask about another time."
            )
    names = ("flight_id", *_WHOLE, "tailnum")
    return {**{name: [row[name] for row in rows] for name in names}, "predicted_at": [asked] * len(flights)}


def _row(flight: Flight) -> Mapping[str, Any]:
    row = dict(flight.__dict__)
    for name in ("scheduled_departure", "scheduled_arrival"):
        row[name] = int(row[name].timestamp())
    return row
