"""What the prediction log keeps of the answers to one request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from esteira.contract import FeatureRows
from esteira.serving.answers import Answer
from esteira.serving.following import Serving
from esteira.serving.post_processing import Processed
from esteira.serving.request_log import request_id
from esteira.stores.answers.prediction_log import LoggedAnswers


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
) -> LoggedAnswers:
    """The answers with what is withheld from the caller.

    ``given`` has the n entity keys and request inputs; ``found`` the features that were read for the places ``read``,
    in that order, or nothing.
    """
    return LoggedAnswers.model_construct(  # of values that have just been made; checking them again costs as much
        use_case=use_case,
        release=serving.release.id,
        model_version=serving.release.model_version,
        feature_service=serving.release.feature_service,
        requested_at=now,
        horizon=horizon,
        prediction_id=[each.prediction_id for each in answers],
        entity_id=[each.entity_id for each in answers],
        as_of=[each.computed_at for each in answers],
        source=[each.source for each in answers],
        prediction=[each.prediction for each in processed],
        decision=[each.decision for each in processed],
        changes=[each.changes for each in processed],
        inputs=given,
        read=list(read) if found.values else [],
        features=found.values,
        event_times=found.event_times,
        created_times=found.created_times,
        request_id=request_id.get(),
        role=serving.role,
    )
