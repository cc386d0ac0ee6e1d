"""What every service answers, whatever it predicts: one contract for computed and cached predictions."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from esteira.model_card import Frozen


class Request(Frozen):
    """A request: types are taken literally, unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Answer(Frozen):
    """A prediction with everything a caller needs to judge and to trace it."""

    prediction_id: str = Field(description="Names this prediction in the log; esteira trace explains it.")
    entity_id: str = Field(description="What the prediction is for.")
    prediction: float = Field(description="Probability of yes, or the estimate in the outcome's unit.")
    decision: bool | None = Field(description="The prediction at the release's threshold; null for an estimate.")
    source: Literal["computed", "cached"] = Field(description="Computed for this request, or precomputed by a flow.")
    computed_at: datetime = Field(description="The moment the features are from.")
    age_seconds: float = Field(description="How long ago that was, by the service's clock.")
    feature_ages: dict[str, float | None] = Field(
        description="Per feature view, how old the value was at computed_at, in seconds; null when there was none."
    )
    missing: list[str] = Field(description="Features without a value; the model answers without them.")
    release: int
    model_version: str


class Answers(Frozen):
    """One answer per question, in the order of the questions."""

    predictions: list[Answer]


class Health(Frozen):
    """Whether a service can answer, from what, and what troubles it."""

    ready: bool
    use_case: str
    release: int | None
    model_version: str | None
    troubles: list[str] = Field(description="Sentences; a service that keeps an older release serving says why.")


class Refusal(Frozen):
    """Why a request was not answered, and what to do."""

    error: str
