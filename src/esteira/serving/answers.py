"""What every service answers, whatever it predicts: one contract for computed and cached predictions."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field

from esteira.model_card import Frozen
from esteira.serving.post_processing import Change

Source = Literal["computed", "cached", "default", "given"]
_EXAMPLE: dict[str, Any] = {
    "prediction_id": "2f0c7a6d9b8e4c31a5d2f6e8b7c90a14",
    "entity_id": "2013-03-01-UA1545-EWR-IAH",
    "prediction": 0.183,
    "interval": None,
    "decision": False,
    "band": "probably on time",
    "rank": None,
    "suppressed": None,
    "changes": [],
    "source": "computed",
    "computed_at": "2013-03-01T08:15:00Z",
    "age_seconds": 0.0,
    "feature_ages": {"flight_plan": 604800.0, "origin_traffic": 240.0, "aircraft_arrivals": None},
    "missing": ["aircraft_last_arr_delay"],
    "stale": [],
    "fallback": None,
    "explanation": None,
    "release": 3,
    "model_version": "2013-03-01-4f9a0c21be",
}


class Request(Frozen):
    """A request: types are taken literally, unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Contribution(Frozen):
    """How far one feature moved one prediction."""

    feature: str
    value: float | int | bool | str | None
    contribution: float


class Explanation(Frozen):
    """The model's own account: base + contributions + rest is its output before calibration and post-processing."""

    words: str
    unit: str = Field(description="log-odds for a probability, else the outcome's unit.")
    base: float = Field(description="What the model says knowing nothing.")
    contributions: list[Contribution] = Field(description="The largest, largest first.")
    rest: float = Field(description="All others together.")


class Answer(Frozen):
    """A prediction with everything a caller needs to judge and to trace it."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    prediction_id: str = Field(description="Names this answer in the log; outcomes may be sent for it.")
    entity_id: str = Field(description="What the prediction is for.")
    prediction: float | None = Field(
        description="Calibrated probability of yes, or the estimate in the outcome's unit; null if suppressed."
    )
    interval: tuple[float, float] | None = Field(
        description="Where nine of ten outcomes lay around holdout estimates of this size; null for a probability."
    )
    decision: bool | None = Field(description="The prediction at the release's threshold; null for an estimate.")
    band: str | None = Field(description="The named band it lies in, if the use case declares bands.")
    rank: int | None = Field(description="Its place among the answers of this request, if the use case ranks.")
    suppressed: str | None = Field(description="Why the prediction is withheld.")
    changes: list[Change] = Field(description="What post-processing changed, rule by rule.")
    source: Source = Field(
        description="computed for this request, cached (made ahead by a flow), default (the release's constant, when "
        "its features cannot be had), or given (computed from feature values in the request)."
    )
    computed_at: datetime = Field(description="The moment the features are from.")
    age_seconds: float = Field(description="How long ago that was, by the service's clock.")
    feature_ages: dict[str, float | None] = Field(
        description="Per feature view, how old the value was at computed_at, in seconds; null when there was none."
    )
    missing: list[str] = Field(description="Features without a value; the model answers without them.")
    stale: list[str] = Field(description="Feature views that were absent or older than the use case wants.")
    fallback: str | None = Field(description="Why this is not the answer that would have been computed.")
    explanation: Explanation | None = Field(description="If it was asked for.")
    release: int
    model_version: str

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The answer with ``values`` for all fields, which have just been made and are not checked again.

        It is what ``model_construct(**values)`` makes in a fifth of the time, which a request of a hundred feels.
        """
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        object.__setattr__(made, "__pydantic_fields_set__", _FIELDS)
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


_FIELDS = set(Answer.model_fields)


class Answers(Frozen):
    """One answer per question, in the order of the questions."""

    predictions: list[Answer]


class LookedUp(Answers):
    """Predictions made ahead, in the order of the questions, and why there is none for the others."""

    absent: dict[str, str] = Field(description="Entity -> why it has no prediction that may be given.")


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
