"""One service process of one use case: the live release, its features, its log, its cache, kept up to date.

A bento joins this to its endpoints and says only how a question becomes entity keys and request inputs.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from esteira.contract import FeatureRows, UseCase
from esteira.errors import FeatureError, MissingData, NoRelease, UnknownName
from esteira.serving import answering
from esteira.serving.answering import Drawn
from esteira.serving.answers import Answer, Answers, Health, LookedUp
from esteira.serving.following import Following, Serving
from esteira.serving.freshness import Shortfall, shortfalls
from esteira.serving.given import given_rows
from esteira.serving.measures import measures
from esteira.settings import settings
from esteira.stores import clock
from esteira.stores.answers.cached import CachedPredictions
from esteira.stores.answers.logged_answers import logged_answers
from esteira.stores.answers.prediction_log import PredictionLog
from esteira.stores.releases import ledger

Rows = Mapping[str, Sequence[Any]]
_ANSWERED_AT_ONCE = 16  # more entities than this leave the event loop, so that small requests do not wait for them
_HORIZON_SECONDS = 1.0
_NOTHING_FOUND = FeatureRows(values={}, event_times={}, created_times={})


class Live:
    """Answers for one use case from whatever release is live."""

    def __init__(self, use_case: UseCase, probe: Callable[[datetime], Rows]) -> None:
        """Prepare; nothing is opened before ``start``.

        ``probe`` gives the columns of one question at a moment: every release must answer it before it serves.
        """
        self._use_case = use_case
        self._policy = use_case.serving
        self._probe = probe
        self._horizon: datetime | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow-releases", daemon=True)

    def start(self) -> None:
        """Open log and cache, load the live release if there is one, then follow the ledger."""
        self._log = PredictionLog(self._use_case.name, started_at=datetime.now(UTC))
        self._cached = CachedPredictions(self._use_case.name)
        self._read_horizon()
        # Brings Feast and XGBoost, which take seconds: building a bento and the server's parent process do without,
        # and the first release does not have to wait for them.
        from esteira.stores.releases.loading import load  # noqa: PLC0415

        name = self._use_case.name
        self._following = Following(
            lambda: ledger.live(name), lambda each: load(name, each.id, self._probe, self._now())
        )
        self._following.look()
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting and close everything."""
        self._stopped.set()
        self._thread.join()
        self._log.close()
        self._cached.close()

    async def predict(
        self,
        entity_ids: Sequence[str],
        rows: Callable[[datetime], Rows],
        *,
        as_of: datetime | None = None,
        explain: bool = False,
    ) -> Answers:
        """Answer for n entities, each from its prediction made ahead or computed, as the use case's policy says.

        With ``as_of``, or when an explanation is wanted, all are computed. ``rows`` gives the n entity keys and request
        inputs at a moment. Every answer is in the prediction log before it is returned.

        Raises NoRelease, InvalidRequest, ModelError; FeatureError when the policy refuses what is missing, stale or
        out of reach; DataError when the log cannot be written.
        """
        answering.require_distinct(entity_ids)
        serving = self._following.require()
        now = self._now()
        if as_of is not None and as_of > now and settings().clock == "belt":
            await asyncio.to_thread(self._read_horizon)  # in a replay the belt may have moved since the last look
            now = self._now()
        horizon = self._horizon  # before the features are read: what is written meanwhile is no skew
        moment = as_of or now
        answering.require_past(moment, now)
        given = rows(moment)
        serving.predictor.require_known(given)
        drawn: dict[int, Drawn] = {}
        if as_of is None and not explain:
            drawn = self._drawn_ahead(serving, entity_ids, given, now)
        left = [place for place in range(len(entity_ids)) if place not in drawn]
        found = _NOTHING_FOUND
        if left:
            asked = given if len(left) == len(entity_ids) else {k: [v[p] for p in left] for k, v in given.items()}
            ids = [entity_ids[place] for place in left]
            # A store behind a network may be slow: then requests wait in threads, not in each other's way.
            if len(left) > _ANSWERED_AT_ONCE or settings().online_store != "sqlite":
                computed, found = await asyncio.to_thread(self._draw, serving, ids, asked, moment, now, explain)
            else:
                computed, found = self._draw(serving, ids, asked, moment, now, explain)
            drawn.update(zip(left, computed, strict=True))
        ordered = [drawn[place] for place in range(len(entity_ids))]
        return Answers(predictions=await self._told(serving, ordered, given, found, left, now=now, horizon=horizon))

    async def predict_features(
        self, entity_ids: Sequence[str], rows: Sequence[Mapping[str, Any]], given: Rows, *, explain: bool = False
    ) -> Answers:
        """Answer from feature values in the request; a feature that is not given is missing.

        Raises NoRelease, ModelError; InvalidRequest for a name or a type that the live model does not know; DataError
        when the log cannot be written.
        """
        answering.require_distinct(entity_ids)
        serving, now = self._following.require(), self._now()
        found = given_rows(serving.predictor.card, rows)
        drawn = answering.compute(serving, entity_ids, found, as_of=now, explain=explain, source="given")
        places = range(len(entity_ids))
        return Answers(
            predictions=await self._told(serving, drawn, given, found, places, now=now, horizon=self._horizon)
        )

    async def look_up(self, entity_ids: Sequence[str]) -> LookedUp:
        """The live release's predictions made ahead, as far as there are any that may be given. Raises NoRelease."""
        answering.require_distinct(entity_ids)
        serving, now = self._following.require(), self._now()
        ahead = self._cached.read(serving.release.epoch, entity_ids)
        absent = {
            each: _absent(each, serving, answering.too_old(ahead[each], self._policy, now) if each in ahead else None)
            for each in entity_ids
            if each not in ahead or answering.too_old(ahead[each], self._policy, now)
        }
        drawn = [answering.drawn_ahead(each, ahead[each]) for each in entity_ids if each not in absent]
        told: list[Answer] = []
        if drawn:
            made_for = [ahead[each.entity_id].given for each in drawn]
            given = {name: [each.get(name) for each in made_for] for name in made_for[0]}
            told = await self._told(serving, drawn, given, _NOTHING_FOUND, (), now=now, horizon=self._horizon)
        return LookedUp(predictions=told, absent=absent)

    async def look_up_one(self, entity_id: str) -> Answer:
        """As ``look_up`` for one entity. Raises UnknownName with the reason when there is none."""
        found = await self.look_up([entity_id])
        if found.absent:
            raise UnknownName(found.absent[entity_id])
        return found.predictions[0]

    def known(self, entity_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Keys and request inputs of entities that were predicted ahead, for questions that give the name alone.

        Raises UnknownName for the first that is not known.
        """
        known = self._cached.known(entity_ids)
        for each in entity_ids:
            if each not in known:
                raise UnknownName(
                    f"{each!r} is not among the entities that {self._use_case.name!r} has predicted ahead, so its keys "
                    "are not known. Send all of them, or run the precompute flow."
                )
        return known

    def health(self) -> tuple[int, Health]:
        """HTTP status 200 or 503, and why. Not ready: no verified release, or answers cannot be logged."""
        serving = self._following.current
        ready = serving is not None and not self._log.refuses
        lost = f" {self._log.dropped:,} predictions were given without being logged." if self._log.dropped else ""
        failure = f"The prediction log cannot be written: {self._log.failure}." if self._log.failure else ""
        return 200 if ready else 503, Health(
            ready=ready,
            use_case=self._use_case.name,
            release=serving.release.id if serving else None,
            model_version=serving.release.model_version if serving else None,
            troubles=[each for each in (self._following.trouble, (failure + lost).strip()) if each],
        )

    def _drawn_ahead(self, serving: Serving, entity_ids: Sequence[str], given: Rows, now: datetime) -> dict[int, Drawn]:
        """Place -> what may be answered from the cache: made for the same keys and inputs, fresh, due late enough."""
        later = [p for p in range(len(entity_ids)) if answering.is_due_later(self._policy, given, p, now)]
        if not later:
            return {}
        ahead = self._cached.read(serving.release.epoch, [entity_ids[place] for place in later])
        return {
            place: answering.drawn_ahead(entity_ids[place], made)
            for place in later
            if (made := ahead.get(entity_ids[place])) is not None
            and not answering.too_old(made, self._policy, now)
            and all(given[name][place] == value for name, value in made.given.items())
        }

    def _draw(
        self, serving: Serving, entity_ids: Sequence[str], given: Rows, as_of: datetime, now: datetime, explain: bool
    ) -> tuple[list[Drawn], FeatureRows]:
        """Compute n entities, and let the policy decide where features are stale, missing or out of reach."""
        count = len(entity_ids)
        try:
            found = serving.features.read(given, as_of)
        except FeatureError as error:
            lost = Shortfall((), self._policy.unreachable, f"the features cannot be read ({error})")
            if lost.otherwise == "answer":
                raise
            return self._fall_back(serving, entity_ids, [lost] * count, None, as_of, now), _NOTHING_FOUND
        drawn = answering.compute(serving, entity_ids, found, as_of=as_of, explain=explain)
        lacking = shortfalls(self._policy.freshness, found.event_times, as_of, count)
        if any(lacking):
            drawn = self._fall_back(serving, entity_ids, lacking, drawn, as_of, now)
        return drawn, found

    def _fall_back(
        self,
        serving: Serving,
        entity_ids: Sequence[str],
        lacking: Sequence[Shortfall | None],
        computed: Sequence[Drawn] | None,
        as_of: datetime,
        now: datetime,
    ) -> list[Drawn]:
        wanted = [e for e, lack in zip(entity_ids, lacking, strict=True) if lack and lack.otherwise == "cached"]
        ahead = self._cached.read(serving.release.epoch, wanted) if wanted else {}
        fresh = {each: made for each, made in ahead.items() if not answering.too_old(made, self._policy, now)}
        return [
            answering.fall_back(
                serving, entity_id, lack, computed[place] if computed else None, fresh.get(entity_id), as_of=as_of
            )
            for place, (entity_id, lack) in enumerate(zip(entity_ids, lacking, strict=True))
        ]

    async def _told(
        self,
        serving: Serving,
        drawn: Sequence[Drawn],
        given: Rows,
        found: FeatureRows,
        read: Sequence[int],
        *,
        now: datetime,
        horizon: datetime | None,
    ) -> list[Answer]:
        """Post-process, log, answer. ``read`` says for which places, in order, ``found`` has features."""
        answers, processed = answering.answers(serving, drawn, given, now=now)
        logged = logged_answers(
            self._use_case.name, serving, answers, processed, given, found, read, now=now, horizon=horizon
        )
        await asyncio.wrap_future(self._log.write(logged))
        measures().answered(answers)
        return answers

    def _now(self) -> datetime:
        if settings().clock == "wall":
            return clock.now(self._use_case)
        if self._horizon is None:
            raise NoRelease(
                f"The service follows the belt's clock, and nothing was ingested for {self._use_case.name!r} yet. "
                f"Run the ingest flow: make flow FLOW=ingest USE_CASE={self._use_case.name} AS_OF=…"
            )
        return self._horizon

    def _follow(self) -> None:
        looks = 0
        every = settings().ledger_poll_seconds
        while not self._stopped.wait(every):
            self._following.look()
            self._measure()
            looks += 1
            if looks * every >= _HORIZON_SECONDS:
                looks = 0
                self._read_horizon()

    def _measure(self) -> None:
        log, serving = self._log, self._following.current
        measures().logs(waiting=log.waiting, failing=log.failure is not None, dropped=log.dropped)
        if serving is not None:
            measures().serves(self._use_case.name, serving.release.id, serving.release.model_version)

    def _read_horizon(self) -> None:
        try:
            self._horizon = clock.horizon(self._use_case)
        except MissingData:
            self._horizon = None  # said in words by _now, for whoever asks


def _absent(entity_id: str, serving: Serving, too_old: str | None) -> str:
    if too_old is None:
        return (
            f"No prediction for {entity_id!r} was precomputed under release {serving.release.id}. "
            "Ask predict for it, or run the precompute flow: make flow FLOW=precompute USE_CASE=… AS_OF=…"
        )
    return f"The prediction for {entity_id!r} is too old: {too_old}. Ask predict for it, or run the precompute flow."
