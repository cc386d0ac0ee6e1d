"""Fairness by group: is any group treated apart from all rows together by more than was declared?

The rates of groups are fairlearn's (MetricFrame); whether a limit is broken beyond chance is decided on resampled
days, in the gate's one family of guardrails.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

from esteira.errors import InputError
from esteira.limits import FairnessLimit, GateLimits
from esteira.training.bootstrap import MINIMUM_DAYS, REPEATS, Days, Floats, draw_days, sum_by_day
from esteira.training.evaluate import slice_masks
from esteira.training.guardrail import Guardrail, guardrail, too_small

_RATES: Mapping[str, Callable[..., float]] = {
    "selection_rate": selection_rate,
    "true_positive_rate": true_positive_rate,
    "false_positive_rate": false_positive_rate,
}


def group_gaps(
    limits: GateLimits, y: Floats, p: Floats, numbered: Days, days: int, groups: Mapping[str, Sequence[object]],
    threshold: float | None, seed: int,
) -> list[Guardrail]:  # fmt: skip
    """How far each group of each limit lies from all rows: a ratio (1 at most), or a difference without sign.

    Raises InputError when a limit's column or the threshold it needs is absent.
    """
    draws = draw_days(days, repeats=REPEATS, seed=seed)
    found = []
    for limit in limits.fairness:
        _require_measurable(limit, groups, threshold)
        judged, counted = _judged_and_counted(limit, y, p, threshold)
        values = group_values(limit, y, p, groups[limit.column], threshold)
        whole = _resampled(judged, counted, numbered, days, draws)
        for name, mask in slice_masks({limit.column: groups[limit.column]}):
            part = mask & counted
            of_days = len(np.unique(numbered[part]))
            told = f"{name} {limit.measure} {'difference' if limit.least_ratio is None else 'ratio'}"
            bound = float(limit.most_difference if limit.least_ratio is None else limit.least_ratio)  # type: ignore[arg-type]
            if part.sum() < limit.minimum_rows or of_days < MINIMUM_DAYS:
                found.append(too_small("fairness", told, int(part.sum()), bound))
                continue
            own = _resampled(judged, part, numbered, days, draws)
            value, replicates = _gap(limit, values[name], values[limit.column], own, whole)
            sign = 1 if limit.least_ratio is None else -1
            found.append(
                guardrail(
                    "fairness", told, int(part.sum()), value, replicates, of_days, limit=bound, sign=sign
                )
            )  # fmt: skip
    return found


def group_values(
    limit: FairnessLimit, y: Floats, p: Floats, group: Sequence[object], threshold: float | None
) -> dict[str, float]:
    """The measure of ``limit`` for every group as ``column=value``, and for all rows under the column's name."""
    words = np.array(["missing" if value is None else str(value) for value in group])
    metric = _bias if limit.measure == "bias" else _RATES[limit.measure]
    answers = p if threshold is None or limit.measure == "bias" else (p >= threshold).astype(float)
    measured = MetricFrame(metrics=metric, y_true=y, y_pred=answers, sensitive_features=words)
    return {limit.column: float(measured.overall)} | {
        f"{limit.column}={word}": float(value) for word, value in measured.by_group.items()
    }


def _bias(y_true: npt.ArrayLike, y_pred: npt.ArrayLike) -> float:
    return float(np.mean(np.asarray(y_pred) - np.asarray(y_true)))


def _judged_and_counted(
    limit: FairnessLimit, y: Floats, p: Floats, threshold: float | None
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What is averaged, and over which rows: the parts of a rate, so that resamples can be summed by day."""
    if threshold is None or limit.measure == "bias":
        return p - y, np.ones(len(y), dtype=bool)
    of_class = {"true_positive_rate": y == 1, "false_positive_rate": y == 0}
    return (p >= threshold).astype(float), of_class.get(limit.measure, np.ones(len(y), dtype=bool))


def _resampled(values: Floats, mask: npt.NDArray[np.bool_], numbered: Days, days: int, draws: Floats) -> Floats:
    sums = draws @ sum_by_day(values[mask], numbered[mask], days)
    rows = draws @ sum_by_day(np.ones(int(mask.sum())), numbered[mask], days)
    return np.asarray(np.divide(sums, rows, out=np.full(len(draws), np.nan), where=rows > 0))


def _gap(limit: FairnessLimit, own: float, whole: float, owns: Floats, wholes: Floats) -> tuple[float, Floats]:
    if limit.least_ratio is None:
        side = 1.0 if own >= whole else -1.0  # resamples keep the side the data is on
        return side * (own - whole), side * (owns - wholes)
    if own == whole:
        return 1.0, np.ones(len(owns))
    small, large = (owns, wholes) if own < whole else (wholes, owns)
    ratios = np.divide(small, large, out=np.full(len(owns), np.nan), where=large > 0)
    return min(own, whole) / max(own, whole), ratios


def _require_measurable(
    limit: FairnessLimit, groups: Mapping[str, Sequence[object]], threshold: float | None
) -> None:  # fmt: skip
    if limit.column not in groups:
        raise InputError(
            f"Fairness is limited by {limit.column!r}, which the judged rows do not have; they have "
            f"{', '.join(groups) or 'none'}. Name an entity or feature column."
        )
    if threshold is None and limit.measure != "bias":
        raise InputError(f"A {limit.measure} needs a threshold from which the answer is yes. Declare one, or use bias.")
