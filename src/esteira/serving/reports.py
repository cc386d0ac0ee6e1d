"""What a caller reports about outcomes: what became of a prediction, or of the thing it was about."""

from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from esteira.errors import InvalidRequest
from esteira.model_card import Frozen
from esteira.serving.answers import Request

_CLOCK_SKEW = timedelta(minutes=1)
_EXAMPLE: dict[str, Any] = {
    "prediction_id": "4cf0a4a2b8b54a63a7d0a5a1c1c0b4e5",
    "outcome": 1.0,
    "happened_at": "2013-03-01T08:40:00-06:00",
    "source": "arrivals desk",
    "confidence": 1.0,
}


class OutcomeReport(Request):
    """One outcome, of a prediction by its id or of an entity by its key."""

    prediction_id: str | None = Field(default=None, min_length=1, max_length=200)
    entity_id: str | None = Field(default=None, min_length=1, max_length=200)
    outcome: float = Field(description="0 or 1 for a yes or no, else in the outcome's unit.")
    happened_at: AwareDatetime = Field(description="When it came about; never before the prediction.")
    known_at: AwareDatetime | None = Field(
        default=None, description="When it became known; default: now. Given, a repeated report is told from a new one."
    )
    source: str = Field(min_length=1, max_length=64, description="Who says so: a system, a desk, a user's click.")
    confidence: float = Field(default=1.0, ge=0, le=1, description="Of two reports known at once the surer one counts.")

    @model_validator(mode="after")
    def _is_about_one_thing_and_in_order(self) -> Self:
        if (self.prediction_id is None) == (self.entity_id is None):
            raise ValueError("give either prediction_id or entity_id")
        if self.known_at is not None and self.known_at < self.happened_at:
            raise ValueError("known_at lies before happened_at")
        return self


class OutcomeReports(Request):
    """Reports of outcomes; later ones correct earlier ones."""

    model_config = ConfigDict(json_schema_extra={"example": {"outcomes": [_EXAMPLE]}})

    outcomes: list[OutcomeReport] = Field(min_length=1, max_length=1_000)


class Taken(Frozen):
    """How many reports are on disk now; what they are about is settled when they are collected."""

    taken: int


def require_possible(report: OutcomeReport, kind: Literal["binary", "regression"], now: datetime) -> None:
    """Raise InvalidRequest when an outcome lies ahead of ``now``, or is no outcome of this ``kind`` of use case."""
    latest = max(report.happened_at, report.known_at or report.happened_at)
    if latest > now + _CLOCK_SKEW:
        raise InvalidRequest(
            f"An outcome of {latest.isoformat()} cannot be known: the service's clock says {now.isoformat()}."
        )
    if kind == "binary" and report.outcome not in (0.0, 1.0):
        raise InvalidRequest(f"The outcome {report.outcome} is neither 0 nor 1, and this use case predicts yes or no.")
