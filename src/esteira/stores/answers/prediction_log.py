"""The prediction log of one process: every answer, or a share of them, is on disk before it is given."""

import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_core import to_json

from esteira.model_card import Frozen
from esteira.serving.post_processing import Change
from esteira.serving.request_log import request_id
from esteira.settings import settings
from esteira.stores.answers.segments import SegmentLog


def _under_way() -> str:
    return request_id.get()


class LoggedPrediction(Frozen):
    """One answer and everything needed to explain and remake it."""

    prediction_id: str
    use_case: str
    release: int
    model_version: str
    feature_service: str
    entity_id: str
    as_of: datetime
    """The moment the features were read for."""
    requested_at: datetime
    """When it was asked, by the service's clock."""
    horizon: datetime | None
    """Up to which moment the feature tables had been ingested then, as far as the service knew."""
    source: str
    """Where the answer came from; only for ``computed`` ones does the log have the features (Answer.source)."""
    prediction: float
    """As post-processed; also when it was withheld from the caller."""
    decision: bool | None
    changes: tuple[Change, ...] = ()
    """What post-processing did to it, rule by rule."""
    inputs: dict[str, Any]
    """Entity keys and request inputs, as the online store was asked."""
    features: dict[str, Any]
    event_times: dict[str, datetime | None]
    """Per view, when the values read were true."""
    created_times: dict[str, datetime | None]
    """Per view, when the values read had become known."""
    request_id: str = Field(default_factory=_under_way)
    """The request it answered, as the reply's header and the service's log call it."""
    share: float = 1.0
    """The share of answers that was logged then: a count of answers is a sum of 1 / share."""


class PredictionLog:
    """The prediction log of this process for one use case; safe to share between threads."""

    def __init__(self, use_case: str, *, started_at: datetime) -> None:
        """Open the first segment; when that fails, ``failure`` says so and it is tried again."""
        self._share = settings().prediction_log_share
        self._segments = SegmentLog(
            segments_path(use_case),
            name=f"prediction log of {use_case!r}",
            started_at=started_at,
            drops=settings().prediction_log_when_full == "drop",
        )

    @property
    def failure(self) -> str | None:
        """Why nothing can be written, until it can be."""
        return self._segments.failure

    @property
    def dropped(self) -> int:
        """How many predictions were given since the start although they could not be logged."""
        return self._segments.dropped

    @property
    def refuses(self) -> bool:
        """Whether answers are refused now: nothing can be written, and nothing may be dropped."""
        return self.failure is not None and not self._segments.drops

    @property
    def waiting(self) -> int:
        """How many answers wait to be on disk."""
        return self._segments.waiting

    def write(self, predictions: Sequence[LoggedPrediction]) -> "Future[None]":
        """Hand over the predictions of one answer; the future is done once the sampled share of them is on disk.

        The future raises DataError when they could not be written: the answer must then not be given.
        """
        sampled = predictions
        if self._share < 1:
            sampled = [
                each.model_copy(update={"share": self._share})
                for each in predictions
                if is_sampled(each.prediction_id, self._share)
            ]
        return self._segments.write(b"".join(to_json(each) + b"\n" for each in sampled), count=len(sampled))

    def close(self) -> None:
        """Write what is waiting and finish the segment."""
        self._segments.close()


def is_sampled(prediction_id: str, share: float) -> bool:
    """Whether a prediction belongs to the ``share`` that is logged: always the same answer for the same id.

    >>> is_sampled("any", 1.0), is_sampled("any", 0.0)
    (True, False)
    """
    return zlib.crc32(prediction_id.encode()) < share * 2**32


def segments_path(use_case: str) -> Path:
    """The folder with a use case's segments."""
    return settings().prediction_log_path / use_case
