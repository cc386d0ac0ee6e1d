"""Turn questions into answers with one release, and a release's cached predictions into the same kind of answer."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from esteira.contract import FeatureRows
from esteira.errors import InvalidRequest, UnknownName
from esteira.serving.answers import Answer
from esteira.serving.following import Serving

_CLOCK_SKEW = timedelta(minutes=1)


class Cached(Protocol):
    """A prediction made ahead."""

    @property
    def prediction_id(self) -> str: ...  # noqa: D102
    @property
    def prediction(self) -> float: ...  # noqa: D102
    @property
    def as_of(self) -> datetime: ...  # noqa: D102
    @property
    def event_times(self) -> Mapping[str, datetime | None]: ...  # noqa: D102
    @property
    def missing(self) -> Sequence[str]: ...  # noqa: D102


def require_past(as_of: datetime, now: datetime) -> None:
    """Raise InvalidRequest when ``as_of`` lies ahead of ``now`` by more than clocks differ."""
    if as_of > now + _CLOCK_SKEW:
        raise InvalidRequest(
            f"Cannot predict as of {as_of.isoformat()}: the service's clock says {now.isoformat()}. "
            "Leave as_of out to ask for now."
        )


def answer_computed(
    serving: Serving, entity_ids: Sequence[str], rows: Mapping[str, Sequence[Any]], *, as_of: datetime, now: datetime
) -> tuple[list[Answer], FeatureRows]:
    """Read the features of n entities at ``as_of`` and predict; return n answers and what they were made from.

    Raises InvalidRequest when an entity is asked for twice, or a key has a value the model never heard of.
    """
    if len(set(entity_ids)) < len(entity_ids):
        twice = next(each for each in entity_ids if entity_ids.count(each) > 1)
        raise InvalidRequest(f"{twice!r} is asked for more than once in one request. Ask for each entity once.")
    serving.predictor.require_known(rows)
    found = serving.features.read(rows, as_of)
    predictions = serving.predictor.predict(found.values)
    decide = serving.predictor.post_processing.decide
    age = max((now - as_of).total_seconds(), 0.0)
    answers = [
        Answer(
            prediction_id=uuid4().hex,
            entity_id=entity_id,
            prediction=prediction,
            decision=decide(prediction),
            source="computed",
            computed_at=as_of,
            age_seconds=age,
            feature_ages={view: _age(times[place], as_of) for view, times in found.event_times.items()},
            missing=[name for name, values in found.values.items() if values[place] is None],
            release=serving.release.id,
            model_version=serving.release.model_version,
        )
        for place, (entity_id, prediction) in enumerate(zip(entity_ids, predictions.tolist(), strict=True))
    ]
    return answers, found


def answer_cached(serving: Serving, entity_id: str, cached: Cached | None, *, now: datetime) -> Answer:
    """Answer with a prediction made ahead by the release that is live.

    Raises UnknownName when there is none, for instance because the release changed and was not precomputed yet.
    """
    if cached is None:
        raise UnknownName(
            f"No prediction for {entity_id!r} was precomputed under release {serving.release.id}. "
            "Ask predict for it, or run the precompute flow: make flow FLOW=precompute USE_CASE=… AS_OF=…"
        )
    return Answer(
        prediction_id=cached.prediction_id,
        entity_id=entity_id,
        prediction=cached.prediction,
        decision=serving.predictor.post_processing.decide(cached.prediction),
        source="cached",
        computed_at=cached.as_of,
        age_seconds=max((now - cached.as_of).total_seconds(), 0.0),
        feature_ages={view: _age(moment, cached.as_of) for view, moment in cached.event_times.items()},
        missing=list(cached.missing),
        release=serving.release.id,
        model_version=serving.release.model_version,
    )


def _age(moment: datetime | None, as_of: datetime) -> float | None:
    return None if moment is None else (as_of - moment).total_seconds()
