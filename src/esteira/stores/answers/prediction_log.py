"""The prediction log of one process: every answer, or a share of them, is on disk before it is given."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import to_json

from esteira.model_card import Frozen
from esteira.serving.post_processing import Change
from esteira.serving.request_log import request_id
from esteira.settings import settings
from esteira.stores.answers.segments import SegmentLog
from esteira.traffic import CHAMPION, Role


def _under_way() -> str:
    return request_id.get()


class LoggedAnswers(Frozen):
    """The answers to one request and everything needed to explain and remake them: one line of the log.

    What differs from answer to answer is a column of n values, in the order of the answers: a line for each answer
    would repeat the names of all features, and cost several times as much to write.
    """

    use_case: str
    release: int
    model_version: str
    feature_service: str
    requested_at: datetime
    """When it was asked, by the service's clock."""
    horizon: datetime | None
    """Up to which moment the feature tables had been ingested then, as far as the service knew."""
    prediction_id: list[str]
    entity_id: list[str]
    as_of: list[datetime]
    """The moments the features were read for."""
    source: list[str]
    """Where the answers came from; only for ``computed`` ones does the log have the features (Answer.source)."""
    prediction: list[float]
    """As post-processed; also when it was withheld from the caller."""
    decision: list[bool | None]
    changes: list[tuple[Change, ...]]
    """What post-processing did to each, rule by rule."""
    inputs: dict[str, list[Any]]
    """Entity keys and request inputs, as the online store was asked."""
    read: list[int]
    """The places of the m answers whose features were read; the following are columns of m values."""
    features: dict[str, list[Any]]
    event_times: dict[str, list[datetime | None]]
    """Per view, when the values read were true."""
    created_times: dict[str, list[datetime | None]]
    """Per view, when the values read had become known."""
    request_id: str = Field(default_factory=_under_way)
    """The request they answered, as the reply's header and the service's log call it."""
    role: Role = CHAMPION
    """By whom: the released model, or the challenger beside it."""
    shadow_of: list[str] = Field(default_factory=list)
    """Of answers in the shadow, which nobody was given: those that were given instead. Of others, nothing."""
    share: float = 1.0
    """The share of answers that was logged then: a count of answers is a sum of 1 / share."""

    @model_validator(mode="after")
    def _columns_are_of_one_length(self) -> Self:
        lengths = {len(getattr(self, name)) for name in _EACH} | {len(each) for each in self.inputs.values()}
        lengths |= {len(self.shadow_of)} if self.shadow_of else set()
        if lengths != {len(self)} or not set(self.read) <= set(range(len(self))):
            raise ValueError("its columns differ in length")
        for columns in (self.features, self.event_times, self.created_times):
            if any(len(each) != len(self.read) for each in columns.values()):
                raise ValueError("a column of what was read has another length than read")
        return self

    def __len__(self) -> int:
        """How many answers these are."""
        return len(self.prediction_id)

    def rows(self) -> list[dict[str, Any]]:
        """One record per answer: what all share, and its own value of every column."""
        shared = {name: getattr(self, name) for name in _SHARED}
        each: dict[str, Sequence[Any]] = {name: getattr(self, name) for name in _EACH}
        each["shadow_of"] = self.shadow_of or [None] * len(self)
        inputs = _rows(self.inputs, len(self))
        found = {
            name: dict(zip(self.read, _rows(getattr(self, name), len(self.read)), strict=True)) for name in _OF_READ
        }
        return [
            {
                **shared,
                **{name: values[place] for name, values in each.items()},
                "inputs": inputs[place],
                **{name: rows.get(place, {}) for name, rows in found.items()},
            }
            for place in range(len(self))
        ]

    def only(self, places: Sequence[int]) -> Self:
        """The answers at ``places``, which ascend."""
        new = {place: index for index, place in enumerate(places)}
        of_read = [index for index, place in enumerate(self.read) if place in new]
        kept: dict[str, Any] = {name: [getattr(self, name)[place] for place in places] for name in _EACH}
        kept["shadow_of"] = [self.shadow_of[place] for place in places] if self.shadow_of else []
        kept["inputs"] = {name: [values[place] for place in places] for name, values in self.inputs.items()}
        kept["read"] = [new[self.read[index]] for index in of_read]
        for name in _OF_READ:
            kept[name] = {key: [values[index] for index in of_read] for key, values in getattr(self, name).items()}
        return self.model_copy(update=kept)


_SHARED = (
    "use_case", "release", "model_version", "feature_service", "requested_at", "horizon", "request_id", "role", "share",
)  # fmt: skip
_EACH = ("prediction_id", "entity_id", "as_of", "source", "prediction", "decision", "changes")
_OF_READ = ("features", "event_times", "created_times")


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

    def write(self, answers: LoggedAnswers) -> "Future[None]":
        """Hand over the answers to one request; the future is done once the sampled share of them is on disk.

        The future raises DataError when they could not be written: none of the answers must then be given.
        """
        sampled = answers
        if self._share < 1:
            names = answers.shadow_of or answers.prediction_id  # a shadow is kept if what it shadows is
            places = [place for place, name in enumerate(names) if is_sampled(name, self._share)]
            sampled = answers.only(places).model_copy(update={"share": self._share})
        line = to_json(sampled) + b"\n" if len(sampled) else b""
        return self._segments.write(line, count=len(sampled))

    def close(self) -> None:
        """Write what is waiting and finish the segment."""
        self._segments.close()


def is_sampled(prediction_id: str, share: float) -> bool:
    """Whether a prediction belongs to the ``share`` that is logged: always the same answer for the same id.

    >>> is_sampled("any", 1.0), is_sampled("any", 0.0)
    (True, False)
    """
    return zlib.crc32(prediction_id.encode()) < share * 2**32


def without(line: bytes, doomed: Callable[[dict[str, Any]], bool]) -> tuple[bytes, int]:
    """What is left of a line without the answers whose record is ``doomed``, never longer; and how many those were.

    Of a line that is no answers', or only of such, nothing is left.
    """
    try:
        answers = LoggedAnswers.model_validate_json(line)
    except ValueError:
        return b"", 1
    kept = [place for place, row in enumerate(answers.rows()) if not doomed(row)]
    return to_json(answers.only(kept)) if kept else b"", len(answers) - len(kept)


def segments_path(use_case: str) -> Path:
    """The folder with a use case's segments."""
    return settings().prediction_log_path / use_case


def _rows(columns: Mapping[str, Sequence[Any]], count: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(count)]
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
