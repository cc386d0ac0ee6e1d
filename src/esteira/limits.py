"""The limits a use case declares for its gate: what a challenger must keep to be released."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from esteira.errors import InputError

RateMeasure = Literal["selection_rate", "true_positive_rate", "false_positive_rate"]


@dataclass(frozen=True, kw_only=True)
class MetricLimit:
    """What a metric must reach, by name as ``training.evaluate`` measures it: at ``least`` or at ``most``.

    The whole must reach it with confidence; no slice may be shown to miss ``in_slices``, a laxer figure for parts.
    """

    metric: str
    least: float | None = None
    most: float | None = None
    in_slices: float | None = None

    def __post_init__(self) -> None:
        """Raise InputError unless exactly one of ``least`` and ``most`` is given."""
        if (self.least is None) == (self.most is None):
            raise InputError(f"The limit of {self.metric!r} needs least or most, one of them.")


@dataclass(frozen=True, kw_only=True)
class FairnessLimit:
    """How far any group may be treated apart from all rows together, by one measure.

    Binary: ``selection_rate`` (share of yes at the threshold), ``true_positive_rate``, ``false_positive_rate``.
    Either kind: ``bias``, the mean of prediction less outcome.
    """

    column: str
    """An entity or feature column; each of its values is a group."""
    measure: RateMeasure | Literal["bias"]
    least_ratio: float | None = None
    """The smaller over the larger of the group's rate and the whole's, e.g. 0.8 for the four-fifths rule."""
    most_difference: float | None = None
    minimum_rows: int = 100
    """Of a group and of the kind the measure counts (positives for the true positive rate); fewer are not judged."""

    def __post_init__(self) -> None:
        """Raise InputError unless exactly one limit is given, and one that the measure knows."""
        if (self.least_ratio is None) == (self.most_difference is None):
            raise InputError(f"Fairness by {self.column!r} needs least_ratio or most_difference, one of them.")
        if self.measure == "bias" and self.least_ratio is not None:
            raise InputError("A bias may be zero and has no ratio. Limit it by most_difference.")


@dataclass(frozen=True, kw_only=True)
class GateLimits:
    """What a challenger must keep to be released."""

    margin: float
    """How much worse the primary metric (log-loss, or mean absolute error) may be, in its own unit."""
    baseline_gain: float
    """How much better than the constant baseline it must be, as a share of the baseline's metric."""
    slice_margin: float
    """As ``margin``, for every slice large enough to judge."""
    minimum_rows: int
    minimum_slice_rows: int = 500
    confidence: float = 0.95
    mismatch: float = 0.0
    """The share of served feature values that may differ from the offline path's without explanation."""
    floors: tuple[MetricLimit, ...] = ()
    """What the challenger must reach whatever the champion does."""
    fairness: tuple[FairnessLimit, ...] = ()
    least_sharpness: float | None = None
    """The least share of the champion's spread (of log-odds, or of predictions) that the challenger's must have. Labels
    turned round at random pull every answer towards the middle long before the loss shows it."""
    most_one_row_ms: float | None = None
    """The median time the loaded model may take over one row, in milliseconds."""
    most_bytes: int | None = None
    """The size its files may have."""


@dataclass(frozen=True, kw_only=True)
class ServiceLimits:
    """What the service of a challenger must keep, started from its bento and asked golden requests, to be released."""

    most_start_seconds: float = 120.0
    """From the start of its processes to a verified release."""
    most_p99_ms: float = 500.0
    """The time of a request, one after the other. It must tell a slow model from a busy machine, so it is wide."""
    most_memory_mb: float = 1_000.0
    """What its largest process may hold."""
    most_growth_mb: float = 16.0
    """By how much that may have grown at the end of the requests, warmed up before."""
    tolerance: float = 1e-6
    """How far an answer may lie from the model's own, in the outcome's unit."""


@dataclass(frozen=True, kw_only=True)
class HealthLimits:
    """When a fresh release is taken back without waiting for the policy: limits that nothing sound comes near."""

    watch: timedelta = timedelta(days=3)
    """How long after it went live a release is watched, in the belt's time."""
    minimum_requests: int = 100
    """Fewer requests, predictions or outcomes than this are not judged."""
    most_errors: float = 0.02
    """The share of requests the service may fail on by its own fault."""
    most_seconds: float = 1.0
    """The time within which 99 of 100 requests must be answered."""
    most_clipped: float = 0.05
    """The share of predictions that may lie outside the bounds of the release before post-processing."""
    most_shift: float = 3.0
    """How many times the mean prediction may be the usual outcome, either way."""
    most_decay: float = 0.25
    """The share by which the primary metric may exceed what it was when released, by its whole interval."""
    most_bias: float = 0.5
    """How far predictions may lie from outcomes on average, as a share of the usual outcome, by the whole interval."""
