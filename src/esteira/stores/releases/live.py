"""One service process of one use case: the live release, its features, its log, its cache, kept up to date.

A bento joins this to its endpoints and says only how a question becomes entity keys and request inputs.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any

from esteira.contract import UseCase
from esteira.errors import MissingData, NoRelease, UnknownName
from esteira.serving import answering
from esteira.serving.answers import Answer, Answers, Health, LookedUp
from esteira.serving.following import Following, Release, Serving
from esteira.serving.given import given_rows
from esteira.serving.measures import measures
from esteira.settings import settings
from esteira.stores import clock
from esteira.stores.answers.cached import CachedPredictions
from esteira.stores.answers.logged_answers import logged_answers
from esteira.stores.answers.prediction_log import LoggedAnswers, PredictionLog
from esteira.stores.releases import ledger
from esteira.stores.releases.alarming import alarm_if_not_loaded
from esteira.stores.releases.drawing import NOTHING_FOUND, Drawing, Hand, Rows, rows_at
from esteira.stores.releases.shadowing import Shadow

_HORIZON_SECONDS = 1.0
_log = logging.getLogger("esteira.serving")


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
        self._shadow = Shadow(lambda: PredictionLog(use_case.name, started_at=datetime.now(UTC)))
        self._thread = threading.Thread(target=self._follow, name="follow-releases", daemon=True)

    def start(self) -> None:
        """Open log and cache, load the live release if there is one, then follow the ledger."""
        self._log = PredictionLog(self._use_case.name, started_at=datetime.now(UTC))
        self._cached = CachedPredictions(self._use_case.name)
        self._drawing = Drawing(self._policy, self._cached)
        self._read_horizon()
        # Brings Feast and XGBoost, which take seconds: building a bento and the server's parent process do without,
        # and the first release does not have to wait for them.
        from esteira.stores.releases.loading import load  # noqa: PLC0415

        name = self._use_case.name

        def load_or_alarm(release: Release) -> Serving:
            now = self._now()  # a clock that cannot be read is no fault of the release
            with alarm_if_not_loaded(self._use_case, release):
                return load(name, release.id, self._probe, now, self._following.current)

        self._following = Following(lambda: ledger.live(name), load_or_alarm)
        self._following.look()
        self._shadow.start()
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting and close everything."""
        self._stopped.set()
        self._thread.join()
        self._shadow.stop()
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
        # In a split both compute: a batch is the champion's alone, and older than what its challenger would look at.
        ahead = as_of is None and not explain and not serving.is_split
        hands: list[tuple[list[int], Hand]] = []
        for arm, places in serving.arms(entity_ids):
            whole = len(places) == len(entity_ids)
            ids = entity_ids if whole else [entity_ids[place] for place in places]
            asked = given if whole else rows_at(given, places)
            draw = partial(
                self._drawing.draw, entity_ids=ids, given=asked, as_of=moment, now=now, explain=explain, ahead=ahead
            )
            hands.append((places, await draw(arm) if arm is serving else await self._beside(arm, serving, draw, asked)))
        told = await self._told([hand for _, hand in hands], now=now, horizon=horizon)
        if len(hands) == 1:
            return Answers(predictions=told)
        order = [place for places, _ in hands for place in places]
        return Answers(predictions=[each for _, each in sorted(zip(order, told, strict=True), key=itemgetter(0))])

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
        hand = Hand(serving, drawn, given, found, places)
        return Answers(predictions=await self._told([hand], now=now, horizon=self._horizon))

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
            hand = Hand(serving, drawn, given, NOTHING_FOUND, ())
            told = await self._told([hand], now=now, horizon=self._horizon)
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
            troubles=[
                each
                for each in (
                    self._following.trouble,
                    serving.trouble if serving else None,
                    self._shadow.trouble if serving and serving.shadow else None,
                    (failure + lost).strip(),
                )
                if each
            ],
        )

    async def _beside(
        self, challenger: Serving, champion: Serving, draw: Callable[[Serving], Coroutine[Any, Any, Hand]], asked: Rows
    ) -> Hand:
        """What the challenger draws; the champion stands in for one that fails, and the answers say so."""
        try:
            challenger.predictor.require_known(asked)
            return await draw(challenger)
        except Exception:  # noqa: BLE001 - whatever is wrong with a challenger, its callers are answered
            _log.exception("The challenger %s failed; the champion answers.", challenger.release.model_version)
            hand = await draw(champion)
            measures().stood_in(len(hand.drawn))
            why = "The challenger failed, so the champion answered."
            return replace(hand, drawn=[each._replace(fallback=each.fallback or why) for each in hand.drawn])

    async def _told(self, hands: Sequence[Hand], *, now: datetime, horizon: datetime | None) -> list[Answer]:
        """Post-process, log, answer; in the order of ``hands``."""
        told: list[Answer] = []
        logged: list[LoggedAnswers] = []
        for hand in hands:
            answers, processed = answering.answers(hand.serving, hand.drawn, hand.given, now=now)
            kept = logged_answers(
                self._use_case.name, hand.serving, answers, processed, hand.given, hand.found, hand.read,
                now=now, horizon=horizon,
            )  # fmt: skip
            logged.append(kept)
            told += answers
        written = [asyncio.wrap_future(self._log.write(each)) for each in logged]
        await asyncio.gather(*written)
        measures().answered(told)
        if (challenger := hands[0].serving.shadow) is not None:
            self._shadow.offer(challenger, logged[0])
        return told

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
