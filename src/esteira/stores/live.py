"""One service process of one use case: the live release, its features, its log, its cache, kept up to date.

A bento joins this to its endpoints and says only how a question becomes entity keys and request inputs.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from esteira.contract import FeatureRows, UseCase
from esteira.errors import MissingData, NoRelease
from esteira.serving.answering import answer_cached, answer_computed, require_past
from esteira.serving.answers import Answer, Answers, Health
from esteira.serving.following import Following, Serving
from esteira.settings import settings
from esteira.stores import clock, ledger
from esteira.stores.prediction_log import LoggedPrediction, PredictionLog
from esteira.stores.predictions import CachedPredictions

Rows = Mapping[str, Sequence[Any]]
_ANSWERED_AT_ONCE = 16  # more entities than this leave the event loop, so that small requests do not wait for them
_HORIZON_SECONDS = 1.0


class Live:
    """Answers for one use case from whatever release is live."""

    def __init__(self, use_case: UseCase, probe: Callable[[datetime], Rows]) -> None:
        """Prepare; nothing is opened before ``start``.

        ``probe`` gives the columns of one question at a moment: every release must answer it before it serves.
        """
        self._use_case = use_case
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
        from esteira.stores.loading import load  # noqa: PLC0415

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
        self, entity_ids: Sequence[str], rows: Callable[[datetime], Rows], *, as_of: datetime | None
    ) -> Answers:
        """Compute n predictions at ``as_of`` (default: now); each is in the prediction log before it is returned.

        ``rows`` gives the n entity keys and request inputs at a moment. Raises NoRelease, InvalidRequest,
        FeatureError, ModelError, or DataError when the log cannot be written.
        """
        serving = self._following.require()
        now = self._now()
        if as_of is not None and as_of > now and settings().clock == "belt":
            await asyncio.to_thread(self._read_horizon)  # in a replay the belt may have moved since the last look
            now = self._now()
        horizon = self._horizon  # before the features are read: what is written meanwhile is no skew
        moment = as_of or now
        require_past(moment, now)
        columns = rows(moment)
        if len(entity_ids) > _ANSWERED_AT_ONCE:
            answers, found = await asyncio.to_thread(
                answer_computed, serving, entity_ids, columns, as_of=moment, now=now
            )
        else:
            answers, found = answer_computed(serving, entity_ids, columns, as_of=moment, now=now)
        await asyncio.wrap_future(self._log.write(self._records(serving, answers, columns, found, now, horizon)))
        return Answers(predictions=answers)

    def cached(self, entity_ids: Sequence[str]) -> Answers:
        """The live release's precomputed predictions. Raises NoRelease, or UnknownName for the first without one."""
        serving = self._following.require()
        now = self._now()
        found = [(each, self._cached.read(serving.release.epoch, each)) for each in entity_ids]
        return Answers(predictions=[answer_cached(serving, each, cached, now=now) for each, cached in found])

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

    def _now(self) -> datetime:
        if settings().clock == "wall":
            return clock.now(self._use_case)
        if self._horizon is None:
            raise NoRelease(
                f"The service follows the belt's clock, and nothing was ingested for {self._use_case.name!r} yet. "
                f"Run the ingest flow: make flow FLOW=ingest USE_CASE={self._use_case.name} AS_OF=…"
            )
        return self._horizon

    def _records(
        self,
        serving: Serving,
        answers: Sequence[Answer],
        columns: Rows,
        found: FeatureRows,
        now: datetime,
        horizon: datetime | None,
    ) -> list[LoggedPrediction]:
        return [
            LoggedPrediction(
                prediction_id=answer.prediction_id,
                use_case=self._use_case.name,
                release=answer.release,
                model_version=answer.model_version,
                feature_service=serving.release.feature_service,
                entity_id=answer.entity_id,
                as_of=answer.computed_at,
                requested_at=now,
                horizon=horizon,
                source=answer.source,
                prediction=answer.prediction,
                decision=answer.decision,
                inputs={name: values[place] for name, values in columns.items()},
                features={name: values[place] for name, values in found.values.items()},
                event_times={view: times[place] for view, times in found.event_times.items()},
                created_times={view: times[place] for view, times in found.created_times.items()},
            )
            for place, answer in enumerate(answers)
        ]

    def _follow(self) -> None:
        looks = 0
        every = settings().ledger_poll_seconds
        while not self._stopped.wait(every):
            self._following.look()
            looks += 1
            if looks * every >= _HORIZON_SECONDS:
                looks = 0
                self._read_horizon()

    def _read_horizon(self) -> None:
        try:
            self._horizon = clock.horizon(self._use_case)
        except MissingData:
            self._horizon = None  # said in words by _now, for whoever asks
