"""The facts that travel with a trained model: what it expects, where it came from, how good it was found to be."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from esteira.rules import Rules

CONSTANT = "constant_prediction"
"""Under this name a card's baseline holds the constant itself, beside the metrics it reaches."""


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


class ResidualBand(Frozen):
    """Between what nine of ten outcomes less estimates lay, for estimates below ``below`` and above the band before."""

    below: float | None
    """None: the last band, without end."""
    low: float
    high: float


def interval_around(bands: Sequence[ResidualBand], prediction: float) -> tuple[float, float]:
    """The interval that nine of ten outcomes lie in, around an estimate.

    >>> short, long = ResidualBand(below=120, low=-10, high=12), ResidualBand(below=None, low=-25, high=31)
    >>> interval_around([short, long], 100), interval_around([short, long], 300)
    ((90.0, 112.0), (275.0, 331.0))
    """
    band = next(each for each in bands if each.below is None or prediction < each.below)
    return prediction + band.low, prediction + band.high


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
    residuals: tuple[ResidualBand, ...] = ()
    """Of an estimate, lowest band first; none of a probability. They give a new estimate its interval."""
    coverage: float | None = None
    """The share of the newer half of the holdout within intervals learned from the older half; 0.9 is meant."""
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
    limits: tuple[str, ...] = ()
    """What the model must not be used for, or was never shown."""
    declared_parameters: Mapping[str, Any] = Field(default_factory=dict)
    """The candidate's parameters as the use case declared them then; ``parameters`` may have been tuned or given."""
    parameters_source: str = ""
    """Where ``parameters`` are from, in a sentence."""
    training_set_sha256: str = ""
    """Digest of the training set's columns and values."""
    code_sha256: str = ""
    """Digest of the code itself, which also tells apart two states of a checkout with uncommitted changes."""
    environment: Mapping[str, str] = Field(default_factory=dict)
    """The interpreter and the libraries that make a model, with their versions."""
    hardware: str = ""
    cost: Mapping[str, float] = Field(default_factory=dict)
    """What training took: wall_seconds, cpu_seconds, peak_memory_mb."""
    size_bytes: int = 0
    """The model's own files together."""
    one_row_ms: float = 0.0
    """Median time to encode and score one row, loaded, on one thread."""
    one_row_ms_p99: float = 0.0
    files: Mapping[str, str] = Field(default_factory=dict)
    """File name -> SHA-256 of every file stored with the model but this card."""


REQUIRED_FIELDS = (
    "purpose", "owner", "limits", "candidate", "parameters_source", "selection", "feature_service", "columns",
    "training_rows", "metrics", "baseline", "importances", "data_versions", "training_set_sha256", "code_commit",
    "code_sha256", "lock_sha256", "environment", "hardware", "cost", "size_bytes", "one_row_ms", "cause",
)  # fmt: skip
"""What must stand on a card before its run counts as recorded, and before its model can be released."""
REFERENCE, THRESHOLDS, GOLDEN = "reference.bin", "thresholds.json", "golden.json"
"""Attachments: the profile of what a model learned from, how far a window may lie from it, and a few answered rows."""
TRIALS = "trials.json"
"""Attached when parameters were tuned: every trial."""
CALIBRATION, IMPORTANCES = "calibration.png", "importances.png"
REQUIRED_FILES = (REFERENCE, THRESHOLDS, GOLDEN, CALIBRATION, IMPORTANCES)
"""What must be attached to a model, likewise."""


def missing_records(card: ModelCard, files: Collection[str]) -> list[str]:
    """The required fields that are empty on ``card``, in words, and the required files that are not among ``files``.

    A metric that is not a finite number was not measured: it is missing too.
    """
    unmeasured = [f"a finite {name}" for name, each in card.metrics.items() if not isfinite(each.value)]
    empty = [name.replace("_", " ").replace("sha256", "SHA-256") for name in REQUIRED_FIELDS if not getattr(card, name)]
    return empty + unmeasured + [name for name in REQUIRED_FILES if name not in files]
