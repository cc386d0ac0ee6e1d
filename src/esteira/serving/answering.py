"""Turn questions into answers with one release: computed now, made ahead, given a default, or from given features."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from esteira.contract import FeatureRows, ServingPolicy
from esteira.errors import FeatureError, InvalidRequest
from esteira.model_card import ResidualBand, interval_around
from esteira.serving.answers import Answer, Explanation, Source
from esteira.serving.following import Serving
from esteira.serving.freshness import Shortfall
from esteira.serving.post_processing import Change, Processed

Columns = Mapping[str, Sequence[Any]]
_CLOCK_SKEW = timedelta(minutes=1)
_ZERO = timedelta()


class MadeAhead(Protocol):
    """A prediction made ahead."""

    @property
    def output(self) -> float: ...  # noqa: D102
    @property
    def as_of(self) -> datetime: ...  # noqa: D102
    @property
    def given(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def feature_ages(self) -> Mapping[str, float | None]: ...  # noqa: D102
    @property
    def missing(self) -> Sequence[str]: ...  # noqa: D102


class Drawn(NamedTuple):
    """What one answer is drawn from, before post-processing."""

    entity_id: str
    output: float
    source: Source
    computed_at: datetime
    feature_ages: Mapping[str, float | None]
    missing: Sequence[str]
    stale: Sequence[str] = ()
    fallback: str | None = None
    explanation: Explanation | None = None


def require_past(as_of: datetime, now: datetime) -> None:
    """Raise InvalidRequest when ``as_of`` lies ahead of ``now`` by more than clocks differ."""
    if as_of > now + _CLOCK_SKEW:
        raise InvalidRequest(
            f"Cannot predict as of {as_of.isoformat()}: the service's clock says {now.isoformat()}. "
            "Leave as_of out to ask for now."
        )


def require_distinct(entity_ids: Sequence[str]) -> None:
    """Raise InvalidRequest when an entity is asked for twice."""
    if len(set(entity_ids)) < len(entity_ids):
        twice = next(each for each in entity_ids if entity_ids.count(each) > 1)
        raise InvalidRequest(f"{twice!r} is asked for more than once in one request. Ask for each entity once.")


def compute(
    serving: Serving,
    entity_ids: Sequence[str],
    found: FeatureRows,
    *,
    as_of: datetime,
    explain: bool = False,
    source: Source = "computed",
) -> list[Drawn]:
    """Predict n entities from their features of ``as_of``. Raises ModelError."""
    outputs = serving.predictor.output(found.values).tolist()
    explained = serving.predictor.explain(found.values) if explain else None
    missing: list[list[str]] = [[] for _ in entity_ids]
    for name, values in found.values.items():
        if None in values:
            for place, value in enumerate(values):
                if value is None:
                    missing[place].append(name)
    views = tuple(found.event_times)
    ages = _by_entity([_ages(times, as_of) for times in found.event_times.values()], len(entity_ids))
    return [
        Drawn(
            entity_id=entity_id,
            output=output,
            source=source,
            computed_at=as_of,
            feature_ages=dict(zip(views, ages[place], strict=True)),
            missing=missing[place],
            explanation=explained[place] if explained else None,
        )
        for place, (entity_id, output) in enumerate(zip(entity_ids, outputs, strict=True))
    ]


def drawn_ahead(entity_id: str, ahead: MadeAhead, *, stale: Sequence[str] = (), fallback: str | None = None) -> Drawn:
    """A prediction made ahead, as an answer may be drawn from it."""
    return Drawn(
        entity_id, ahead.output, "cached", ahead.as_of, ahead.feature_ages, ahead.missing, stale, fallback
    )  # fmt: skip


def fall_back(
    serving: Serving,
    entity_id: str,
    lack: Shortfall | None,
    computed: Drawn | None,
    ahead: MadeAhead | None,
    *,
    as_of: datetime,
) -> Drawn:
    """What the policy puts in the place of ``computed``, which is None when no features could be read.

    ``ahead`` is the entity's prediction made ahead, if there is one that may be given. Raises FeatureError when the
    policy refuses, or falls back to a prediction made ahead that there is none of; ModelError when it wants the
    release's constant and the card has none.
    """
    if computed is not None and (lack is None or lack.otherwise == "answer"):
        return computed if lack is None else computed._replace(stale=lack.stale)
    if lack is not None and lack.otherwise == "default":
        return Drawn(
            entity_id=entity_id,
            output=serving.predictor.default,
            source="default",
            computed_at=as_of,
            feature_ages={},
            missing=serving.predictor.names,
            stale=lack.stale,
            fallback=f"The release's constant is given, because {lack.why}.",
        )
    if lack is not None and lack.otherwise == "cached" and ahead is not None:
        why = f"The prediction made ahead is given, because {lack.why}."
        return drawn_ahead(entity_id, ahead, stale=lack.stale, fallback=why)
    why = lack.why if lack is not None else "nothing could be read"
    also = " There is no prediction made ahead either." if lack is not None and lack.otherwise == "cached" else ""
    raise FeatureError(f"Cannot predict for {entity_id!r}, because {why}.{also} Ask again later.")


def too_old(ahead: MadeAhead, policy: ServingPolicy, now: datetime) -> str | None:
    """Why a prediction made ahead is not given any more; None while it may be."""
    age = now - ahead.as_of
    if age > policy.cached_for:
        return f"it was made {age} ago, and none older than {policy.cached_for} is given"
    return None


def is_due_later(policy: ServingPolicy, given: Columns, place: int, now: datetime) -> bool:
    """Whether the entity in ``place`` is far enough from its event that a prediction made ahead is as good."""
    if policy.due is None:
        return True
    return bool(given[policy.due][place] - now.timestamp() > policy.compute_within.total_seconds())


def answers(
    serving: Serving, drawn: Sequence[Drawn], given: Columns, *, now: datetime
) -> tuple[list[Answer], list[Processed]]:
    """Post-process what was drawn for the n entities of one request, and tell everything about it.

    Whether computed or made ahead, the same rules of the live release apply. Returns the answers, and for the log also
    what is withheld from the caller. Raises ModelError as the rules do.
    """
    processed = serving.predictor.post_processing.apply([each.output for each in drawn], given)
    residuals, (low, high) = serving.predictor.card.residuals, serving.predictor.post_processing.bounds
    release, version = serving.release.id, serving.release.model_version
    told = []
    random = os.urandom(16 * len(drawn)).hex()  # one call to the system for all names
    for place, (each, result) in enumerate(zip(drawn, processed, strict=True)):
        shown = result.suppressed is None
        told.append(
            Answer.of(
                {
                    "prediction_id": random[32 * place : 32 * place + 32],
                    "entity_id": each.entity_id,
                    "prediction": result.prediction if shown else None,
                    "interval": _interval(result, residuals, low, high) if shown and residuals else None,
                    "decision": result.decision if shown else None,
                    "band": result.band if shown else None,
                    "rank": result.rank,
                    "suppressed": result.suppressed,
                    "changes": list(result.changes) if shown else [_withheld(change) for change in result.changes],
                    "source": each.source,
                    "computed_at": each.computed_at,
                    "age_seconds": max(now - each.computed_at, _ZERO).total_seconds(),
                    "feature_ages": each.feature_ages,
                    "missing": list(each.missing),
                    "stale": list(each.stale),
                    "fallback": each.fallback,
                    "explanation": each.explanation if shown else None,
                    "release": release,
                    "model_version": version,
                }
            )
        )
    return told, processed


def _ages(times: Sequence[datetime | None], as_of: datetime) -> list[float | None]:
    known = {each: (as_of - each).total_seconds() for each in set(times) if each is not None}  # many share their times
    return [None if each is None else known[each] for each in times]


def _by_entity(columns: Sequence[Sequence[Any]], count: int) -> list[tuple[Any, ...]]:
    return list(zip(*columns, strict=True)) if columns else [()] * count


def _withheld(change: Change) -> Change:
    return change.model_copy(update={"before": None, "after": None})


def _interval(result: Processed, residuals: Sequence[ResidualBand], low: float, high: float) -> tuple[float, float]:
    lower, upper = interval_around(residuals, result.prediction)
    return min(max(lower, low), high), min(max(upper, low), high)
