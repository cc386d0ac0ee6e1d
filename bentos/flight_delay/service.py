"""The BentoML service of flight_delay: its endpoints, joined to the live release."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import bentoml

from bentos.flight_delay.requests import EXAMPLE, Features, Flight, FlightIds, Flights, columns, flight_id
from esteira import use_cases
from esteira.serving.answers import Answers, LookedUp
from esteira.serving.edge import Edge, Get, Post
from esteira.serving.guard import Guard
from esteira.serving.load import Load
from esteira.serving.reports import OutcomeReports, Taken
from esteira.serving.request_log import write_json_logs
from esteira.serving.slow_headers import bound_heads
from esteira.settings import settings
from esteira.stores.answers.outcome_log import OutcomeLog
from esteira.stores.keys import FollowedKeys
from esteira.stores.releases.live import Live


def probe(moment: datetime) -> Mapping[str, Sequence[Any]]:
    """A question every release must be able to answer before it serves."""
    departure = moment + timedelta(hours=2)
    flight = {**EXAMPLE, "scheduled_departure": departure, "scheduled_arrival": departure + timedelta(hours=4)}
    name = flight_id(departure, EXAMPLE["carrier"], EXAMPLE["flight"], EXAMPLE["origin"], EXAMPLE["dest"])
    return columns([Flight(**{**flight, "flight_id": name})], {}, moment)


live = Live(use_cases.get("flight_delay"), probe)
keys = FollowedKeys()
reported = OutcomeLog(use_cases.get("flight_delay"))


async def predict(request: Flights) -> Answers:
    """Answer with predictions made ahead where they are as good, else computed."""
    named = [each.flight_id for each in request.flights if each.is_named_only]
    rows = partial(columns, request.flights, live.known(named) if named else {})
    ids = [each.flight_id for each in request.flights]
    return await live.predict(ids, rows, as_of=request.as_of, explain=request.explain)


async def predict_features(request: Features) -> Answers:
    """Answer from the feature values of the request."""
    keys = {name for each in request.rows for name in each.keys}
    given = {name: [each.keys.get(name) for each in request.rows] for name in keys}
    names, rows = [each.name for each in request.rows], [each.features for each in request.rows]
    return await live.predict_features(names, rows, given, explain=request.explain)


async def cached(request: FlightIds) -> LookedUp:
    """Answer with predictions made ahead."""
    return await live.look_up(request.flight_ids)


bound_heads()


class FlightDelay:
    """P(arrival at least 15 minutes late) of flights leaving New York, and the decision at the release's threshold."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]  # BentoML's types are not followed
    def start(self) -> None:
        """Load what is live and follow the ledger."""
        write_json_logs()
        keys.start()
        live.start()
        reported.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Write what is waiting."""
        live.stop()
        reported.stop()
        keys.stop()

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, request: Flights, /) -> Answers:
        """Predict, one answer per flight, in order; each says whether it was computed now or made ahead."""
        return await predict(request)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict_features(self, request: Features, /) -> Answers:
        """Predict from feature values given in the request, without looking anything up."""
        return await predict_features(request)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def cached(self, request: FlightIds, /) -> LookedUp:
        """Read the predictions which the live release made ahead; also GET /cached/{flight_id}."""
        return await cached(request)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def outcomes(self, request: OutcomeReports, /) -> Taken:
        """Report what became of predictions; reports are on disk when this answers, and later ones correct."""
        return await reported.report(request)


service = bentoml.service(
    name="flight_delay",
    description="Will these flights leaving New York arrive at least 15 minutes late?",
    workers=1,
    traffic={"timeout": 10},
    # Half of the throughput when on, as measured; the prediction log knows every answer.
    logging={"access": {"enabled": False}},
    # Its labels are whole paths, with whatever key a caller asks about; ours are at /metrics (serving/measures.py).
    metrics={"enabled": False},
)(FlightDelay)


async def _health(_: str) -> tuple[int, Any]:
    return live.health()


async def _look_up(flight: str) -> tuple[int, Any]:
    return 200, await live.look_up_one(flight)


service.add_asgi_middleware(
    Guard,
    keys=keys,
    scopes={
        "/predict": "predict",
        "/predict_features": "predict",
        "/cached": "predict",
        "/outcomes": "outcomes",
        "/docs.json": "predict",
        "/schema.json": "predict",
    },
    loopback_needs_key=settings().service_keys == "required",
    requests_per_second=settings().service_requests_per_second,
)
service.add_asgi_middleware(
    Edge,
    load=Load(most=settings().service_most_at_once, seconds=settings().service_seconds),
    posts={
        "/predict": Post(Flights, predict),
        "/predict_features": Post(Features, predict_features),
        "/cached": Post(FlightIds, cached),
        "/outcomes": Post(OutcomeReports, reported.report),
    },
    gets={"/cached/": Get(_look_up), "/readyz": Get(_health)},
)
