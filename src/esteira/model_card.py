"""The facts that travel with a trained model: what it expects, where it came from, how good it was found to be."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from esteira.rules import Rules


class Frozen(BaseModel):
    """A record that is checked when made and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Frozen):
    """One input of a model, in order: its feature name, its type and the view it comes from."""

    name: str
    type: Literal["number", "category"]
    view: str


class Estimate(Frozen):
    """A measured figure with its interval (95 % unless said otherwise) and the rows behind it."""

    value: float
    low: float
    high: float
    rows: int


class SliceQuality(Frozen):
    """Quality on one slice, e.g. ``origin=JFK``."""

    slice: str
    metrics: Mapping[str, Estimate]


class ModelCard(Frozen):
    """Everything serving and judging need to know about one trained model."""

    use_case: str
    version: str
    """Names the model within its use case; also its tag in the model store."""
    kind: Literal["binary", "regression"]
    purpose: str
    owner: str
    candidate: str
    parameters: Mapping[str, Any]
    selection: tuple[str, ...]
    """Why this candidate: sentences with the compared figures."""
    feature_service: str
    columns: tuple[Column, ...]
    entity_values: Mapping[str, tuple[str, ...]]
    as_of: datetime
    """Nothing that became known later was used."""
    trained_from: datetime
    trained_until: datetime
    training_rows: int
    holdout_from: datetime
    holdout_until: datetime
    metrics: Mapping[str, Estimate]
    """On the holdout."""
    baseline: Mapping[str, float]
    """The constant prediction's metrics on the same rows."""
    slices: tuple[SliceQuality, ...]
    importances: Mapping[str, float]
    """Share of the model's total gain per column; they add up to 1."""
    threshold: float
    bounds: tuple[float, float]
    rules: Rules = ()
    """What else happens to a prediction before anybody sees it; the gate judged the model with it."""
    data_versions: Mapping[str, int]
    code_commit: str
    lock_sha256: str
    seed: int
    cause: str
    """Why it was trained: a schedule, a person, or the retrain request's sentences."""
    run_id: str
    """The tracking run."""
    files: Mapping[str, str] = Field(default_factory=dict)
    """File name -> SHA-256 of every file stored with the model but this card."""
