"""What the prediction log keeps of the answers to one request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from esteira.contract import FeatureRows
from esteira.serving.answers import Answer
from esteira.serving.following import Serving
from esteira.serving.post_processing import Processed
from esteira.stores.answers.prediction_log import LoggedPrediction


def logged_answers(
    use_case: str,
    serving: Serving,
    answers: Sequence[Answer],
    processed: Sequence[Processed],
    given: Mapping[str, Sequence[Any]],
    found: FeatureRows,
    read: Sequence[int],
    *,
    now: datetime,
    horizon: datetime | None,
) -> list[LoggedPrediction]:
    """One record per answer, with what is withheld from the caller.

    ``given`` has the n entity keys and request inputs; ``found`` the features that were read for the places ``read``,
    in that order, or nothing.
    """
    inputs = _rows(given, len(answers))
    features, events, created = (
        dict(zip(read, _rows(each, len(read)), strict=True)) if each else {}
        for each in (found.values, found.event_times, found.created_times)
    )
    return [
        LoggedPrediction.model_construct(  # of values that have just been made; checking them again costs as much
            prediction_id=answer.prediction_id,
            use_case=use_case,
            release=answer.release,
            model_version=answer.model_version,
            feature_service=serving.release.feature_service,
            entity_id=answer.entity_id,
            as_of=answer.computed_at,
            requested_at=now,
            horizon=horizon,
            source=answer.source,
            prediction=result.prediction,
            decision=result.decision,
            changes=result.changes,
            inputs=inputs[place],
            features=features.get(place, {}),
            event_times=events.get(place, {}),
            created_times=created.get(place, {}),
        )
        for place, (answer, result) in enumerate(zip(answers, processed, strict=True))
    ]


def _rows(columns: Mapping[str, Sequence[Any]], count: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(count)]
    if count == 1:
        return [{name: values[0] for name, values in columns.items()}]
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
