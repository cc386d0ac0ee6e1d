"""What the prediction log keeps of the answers to one request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from esteira.contract import FeatureRows
from esteira.serving.answers import Answer
from esteira.serving.following import Serving
from esteira.serving.post_processing import Processed
from esteira.stores.prediction_log import LoggedPrediction


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
    rows = dict(zip(read, range(len(read)), strict=True)) if found.values else {}
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
            inputs={name: values[place] for name, values in given.items()},
            features=_row(found.values, rows.get(place)),
            event_times=_row(found.event_times, rows.get(place)),
            created_times=_row(found.created_times, rows.get(place)),
        )
        for place, (answer, result) in enumerate(zip(answers, processed, strict=True))
    ]


def _row(columns: Mapping[str, Sequence[Any]], place: int | None) -> dict[str, Any]:
    return {} if place is None else {name: values[place] for name, values in columns.items()}
