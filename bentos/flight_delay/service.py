"""The BentoML service of flight_delay: its endpoints, joined to the live release."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import bentoml

from bentos.flight_delay.requests import EXAMPLE, Flight, FlightIds, Flights, columns
from esteira import use_cases
from esteira.serving.answers import Answers
from esteira.serving.edge import Edge, Get, Post
from esteira.stores.live import Live


def probe(moment: datetime) -> Mapping[str, Sequence[Any]]:
    """A question every release must be able to answer before it serves."""
    departure = moment + timedelta(hours=2)
    flight = {**EXAMPLE, "scheduled_departure": departure, "scheduled_arrival": departure + timedelta(hours=4)}
    return columns([Flight(**flight)], moment)


live = Live(use_cases.get("flight_delay"), probe)


async def predict(request: Flights) -> Answers:
    """Answer with predictions computed now."""
    rows = partial(columns, request.flights)
    return await live.predict([each.flight_id for each in request.flights], rows, as_of=request.as_of)


async def cached(request: FlightIds) -> Answers:
    """Answer with predictions made ahead."""
    return live.cached(request.flight_ids)


class FlightDelay:
    """P(arrival at least 15 minutes late) of flights leaving New York, and the decision at the release's threshold."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]  # BentoML's types are not followed
    def start(self) -> None:
        """Load what is live and follow the ledger."""
        live.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Write what is waiting."""
        live.stop()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, request: Flights, /) -> Answers:
        """Predict now, with the features known at ``as_of``; one answer per flight, in order."""
        return await predict(request)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def cached(self, request: FlightIds, /) -> Answers:
        """Read the predictions which the live release made ahead; also GET /cached/{flight_id}."""
        return await cached(request)


service = bentoml.service(
    name="flight_delay",
    description="Will these flights leaving New York arrive at least 15 minutes late?",
    workers=1,
    traffic={"timeout": 10},
    # Half of the throughput when on, as measured; the prediction log knows every answer.
    logging={"access": {"enabled": False}},
)(FlightDelay)
service.add_asgi_middleware(
    Edge,
    posts={"/predict": Post(Flights, predict), "/cached": Post(FlightIds, cached)},
    gets={
        "/cached/": Get(lambda flight_id: (200, live.cached([flight_id]).predictions[0])),
        "/readyz": Get(lambda _: live.health()),
    },
)
