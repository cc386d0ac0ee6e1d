"""The endpoints every service has, joined to the live release of its use case.

A bento says what is asked, and makes of them a BentoML service in its own module, where BentoML looks for it.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import bentoml

from bentos.questions import Features, Names, Questions, Rows
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

OPTIONS: dict[str, Any] = {
    "workers": 1,
    "traffic": {"timeout": 10},
    # Half of the throughput when on, as measured; the prediction log knows every answer.
    "logging": {"access": {"enabled": False}},
    # Its labels are whole paths, with whatever key a caller asks about; ours are at /metrics (serving/measures.py).
    "metrics": {"enabled": False},
}
"""How BentoML runs every service."""
_SCOPES = {
    "/predict": "predict",
    "/predict_features": "predict",
    "/cached": "predict",
    "/outcomes": "outcomes",
    "/docs.json": "predict",
    "/schema.json": "predict",
}


class Endpoints:
    """What a service of one use case answers; ``questions``, ``names`` and ``features`` are its request types."""

    def __init__(
        self,
        use_case: str,
        probe: Callable[[datetime], Rows],
        *,
        questions: type[Questions],
        names: type[Names],
        features: type[Features] = Features,
    ) -> None:
        """Prepare; nothing is opened before the service starts.

        ``probe`` gives the columns of one question at a moment: every release must answer it before it serves.
        """
        declared = use_cases.get(use_case)
        self._live, self._reported, self._keys = Live(declared, probe), OutcomeLog(declared), FollowedKeys()
        self._questions, self._names, self._features = questions, names, features

    async def predict(self, request: Questions) -> Answers:
        """Answer with predictions made ahead where they are as good, else computed."""
        named = request.named_only
        rows = partial(request.columns, self._live.known(named) if named else {})
        return await self._live.predict(request.ids, rows, as_of=request.as_of, explain=request.explain)

    async def predict_features(self, request: Features) -> Answers:
        """Answer from the feature values of the request."""
        keys = {name for each in request.rows for name in each.keys}
        given = {name: [each.keys.get(name) for each in request.rows] for name in keys}
        names, rows = [each.name for each in request.rows], [each.features for each in request.rows]
        return await self._live.predict_features(names, rows, given, explain=request.explain)

    async def cached(self, request: Names) -> LookedUp:
        """Answer with predictions made ahead."""
        return await self._live.look_up(request.ids)

    def start(self) -> None:
        """Load what is live and follow the ledger."""
        write_json_logs()
        self._keys.start()
        self._live.start()
        self._reported.start()

    def stop(self) -> None:
        """Write what is waiting."""
        self._live.stop()
        self._reported.stop()
        self._keys.stop()

    def as_class(self, name: str, says: str) -> type:
        """The class BentoML makes a service of: called ``name``, its docstring is what it ``says``."""
        endpoints, questions, names, features = self, self._questions, self._names, self._features

        class Service:
            @bentoml.on_startup  # type: ignore[untyped-decorator]  # BentoML's types are not followed
            def start(self) -> None:
                endpoints.start()

            @bentoml.on_shutdown  # type: ignore[untyped-decorator]
            def stop(self) -> None:
                endpoints.stop()

            @bentoml.api  # type: ignore[untyped-decorator]
            async def predict(self, request: questions, /) -> Answers:  # type: ignore[valid-type]
                """Predict, one answer per entity, in order; each says whether it was computed now or made ahead."""
                return await endpoints.predict(request)

            @bentoml.api  # type: ignore[untyped-decorator]
            async def predict_features(self, request: features, /) -> Answers:  # type: ignore[valid-type]
                """Predict from feature values given in the request, without looking anything up."""
                return await endpoints.predict_features(request)

            @bentoml.api  # type: ignore[untyped-decorator]
            async def cached(self, request: names, /) -> LookedUp:  # type: ignore[valid-type]
                """Read the predictions which the live release made ahead; also GET /cached/{name}."""
                return await endpoints.cached(request)

            @bentoml.api  # type: ignore[untyped-decorator]
            async def outcomes(self, request: OutcomeReports, /) -> Taken:
                """Report what became of predictions; reports are on disk when this answers, and later ones correct."""
                return await endpoints._reported.report(request)

        Service.__name__ = Service.__qualname__ = name
        Service.__doc__ = says
        return Service

    def put_doors_on(self, service: Any) -> None:
        """Let nobody in without a key where one is needed, and answer in front of BentoML's generic dispatch."""
        bound_heads()
        service.add_asgi_middleware(
            Guard,
            keys=self._keys,
            scopes=_SCOPES,
            loopback_needs_key=settings().service_keys == "required",
            requests_per_second=settings().service_requests_per_second,
        )
        service.add_asgi_middleware(
            Edge,
            load=Load(most=settings().service_most_at_once, seconds=settings().service_seconds),
            posts={
                "/predict": Post(self._questions, self.predict),
                "/predict_features": Post(self._features, self.predict_features),
                "/cached": Post(self._names, self.cached),
                "/outcomes": Post(OutcomeReports, self._reported.report),
            },
            gets={"/cached/": Get(self._look_up), "/readyz": Get(self._health)},
        )

    async def _health(self, _: str) -> tuple[int, Any]:
        return self._live.health()

    async def _look_up(self, name: str) -> tuple[int, Any]:
        return 200, await self._live.look_up_one(name)
