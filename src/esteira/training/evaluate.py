"""Measure predictions against outcomes: figures with day-block bootstrap intervals, overall and per slice."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from esteira.errors import DataError, InputError, NotEnoughData
from esteira.model_card import Estimate, SliceQuality
from esteira.training.bootstrap import CONFIDENCE, REPEATS, Days, Floats, bounds, draw_days, number_days, sum_by_day

Kind = Literal["binary", "regression"]

CALIBRATION_BINS = 10
SMALLEST_SLICE = 50
SURE = 1e-15  # log-loss of a sure and wrong prediction stays finite, as in scikit-learn
_PINBALL_LEVEL = 0.9
_MAY_LACK = {"auc", "average_precision", "precision", "recall", "false_positive_rate"}
"""Metrics that rows of one class, or without a yes among the answers, do not define; any other is always a number."""


def row_losses(kind: Kind, outcomes: npt.ArrayLike, predictions: npt.ArrayLike) -> Floats:
    """The primary metric of each row: log-loss of P(yes), or absolute error."""
    y, p = np.asarray(outcomes, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if kind == "regression":
        return np.abs(p - y)
    sure = np.clip(p, SURE, 1 - SURE)
    return -(y * np.log(sure) + (1 - y) * np.log1p(-sure))


def constant_prediction(kind: Kind, outcomes: npt.ArrayLike) -> float:
    """The best prediction that looks at no feature: the share of yes, or the median."""
    y = np.asarray(outcomes, dtype=np.float64)
    return float(y.mean() if kind == "binary" else np.median(y))


def evaluate(
    kind: Kind,
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    days: npt.ArrayLike,
    *,
    seed: int,
    threshold: float | None = None,
    only: Collection[str] | None = None,
) -> dict[str, Estimate]:
    """Measure n predictions, each with its outcome and day, by all metrics or ``only`` some.

    A metric that these rows do not define is left out.

    Binary: log_loss, brier, bias, calibration_error (Guo et al. 2017, ten bins of equal mass), auc, average_precision
    and, with a ``threshold``, precision, recall, false_positive_rate and selection_rate (the share of yes) there.
    Regression: mae, rmse, bias and pinball_90, the loss at the 0.9 quantile, where predicting too little costs nine
    times what predicting too much does. Bias is prediction minus outcome.

    Raises:
        DataError: a prediction or an outcome is not a finite number, or a metric came out as none.
        NotEnoughData: fewer than two rows or two days.
    """
    y, p = _sound(kind, outcomes, predictions)
    numbered, count = number_days(days)
    if len(numbered) != len(y):
        raise InputError(f"{len(y)} predictions came with {len(numbered)} days. Pass the day of every row.")
    if count < 2:
        raise NotEnoughData(f"{len(y)} rows of {count} day(s) give no interval. Judge on at least two days.")
    draws = np.vstack([np.ones(count), draw_days(count, repeats=REPEATS, seed=seed)])  # the first draw is the data
    measure = _binary if kind == "binary" else _regression
    found: dict[str, Estimate] = {}
    for name, compute in measure(y, p, numbered, count, draws, threshold).items():
        if only is not None and name not in only:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 where a resample lacks a class; left out by bounds
            values = compute()
        if not np.isfinite(values[0]):
            if name in _MAY_LACK:
                continue
            raise DataError(f"{name} of {len(y)} rows is {values[0]}, not a number. Look at the predictions' size.")
        low, high = bounds(values[1:], days=count, confidence=CONFIDENCE)
        found[name] = Estimate(value=float(values[0]), low=low, high=high, rows=len(y))
    return found


def evaluate_slices(
    kind: Kind,
    outcomes: npt.ArrayLike,
    predictions: npt.ArrayLike,
    days: npt.ArrayLike,
    slices: Mapping[str, Sequence[object]],
    *,
    seed: int,
) -> tuple[SliceQuality, ...]:
    """Measure each value of each slice column apart, largest first; no figures where rows or days are too few."""
    y, p, d = np.asarray(outcomes), np.asarray(predictions), np.asarray(days)
    found = []
    for name, mask in slice_masks(slices):
        is_enough = mask.sum() >= SMALLEST_SLICE and len(np.unique(d[mask])) >= 2
        metrics = evaluate(kind, y[mask], p[mask], d[mask], seed=seed) if is_enough else {}
        found.append(SliceQuality(slice=name, metrics=metrics))
    return tuple(found)


def slice_masks(slices: Mapping[str, Sequence[object]]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Each slice as ``column=value`` with the mask of its rows, largest first within a column; null is ``missing``."""
    masks: list[tuple[str, npt.NDArray[np.bool_]]] = []
    for column, values in slices.items():
        words = np.array(["missing" if value is None else str(value) for value in values], dtype=object)
        distinct, counts = np.unique(words.astype(str), return_counts=True)
        masks.extend((f"{column}={word}", words == word) for word in distinct[np.argsort(-counts, kind="stable")])
    return masks


def _sound(kind: Kind, outcomes: npt.ArrayLike, predictions: npt.ArrayLike) -> tuple[Floats, Floats]:
    y, p = np.asarray(outcomes, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise InputError(f"{y.shape} outcomes do not match {p.shape} predictions. Pass one prediction per outcome.")
    for name, values in (("outcomes", y), ("predictions", p)):
        if not np.isfinite(values).all():
            raise DataError(f"{(~np.isfinite(values)).sum()} of {len(values)} {name} are not finite numbers.")
    if kind == "binary" and not np.isin(y, (0.0, 1.0)).all():
        raise DataError(f"Outcomes must be 0 or 1, but {y[~np.isin(y, (0.0, 1.0))][0]} is among them.")
    return y, p


def _binary(
    y: Floats, p: Floats, numbered: Days, days: int, draws: Floats, threshold: float | None
) -> dict[str, Callable[[], Floats]]:
    def total(values: npt.ArrayLike) -> Floats:
        return draws @ sum_by_day(values, numbered, days)

    rows = total(np.ones(len(y)))
    found: dict[str, Callable[[], Floats]] = {
        "log_loss": lambda: total(row_losses("binary", y, p)) / rows,
        "brier": lambda: total((p - y) ** 2) / rows,
        "bias": lambda: total(p - y) / rows,
        "calibration_error": lambda: _calibration_error(y, p, total) / rows,
        "auc": lambda: _auc(y, p, numbered, days, draws),
        "average_precision": lambda: _average_precision(y, p, numbered, draws[: REPEATS // 5 + 1]),
    }
    if threshold is not None:
        yes = p >= threshold
        found["precision"] = lambda: total(y * yes) / total(yes)
        found["recall"] = lambda: total(y * yes) / total(y)
        found["false_positive_rate"] = lambda: total((1 - y) * yes) / total(1 - y)
        found["selection_rate"] = lambda: total(yes) / rows
    return found


def _regression(
    y: Floats, p: Floats, numbered: Days, days: int, draws: Floats, _threshold: float | None
) -> dict[str, Callable[[], Floats]]:
    def mean(values: Floats) -> Floats:
        return (draws @ sum_by_day(values, numbered, days)) / (draws @ sum_by_day(np.ones(len(y)), numbered, days))

    short = y - p
    return {
        "mae": lambda: mean(np.abs(short)),
        "rmse": lambda: np.sqrt(mean(short**2)),
        "pinball_90": lambda: mean(np.maximum(_PINBALL_LEVEL * short, (_PINBALL_LEVEL - 1) * short)),
        "bias": lambda: mean(-short),
    }


def _calibration_error(y: Floats, p: Floats, total: Callable[[npt.ArrayLike], Floats]) -> Floats:
    edges = np.quantile(p, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1])
    place = np.searchsorted(edges, p, side="right")
    off = [np.abs(total(np.where(place == each, p - y, 0.0))) for each in range(CALIBRATION_BINS)]
    return np.asarray(np.sum(off, axis=0))


def _auc(y: Floats, p: Floats, numbered: Days, days: int, draws: Floats) -> Floats:
    """AUC of every draw from one table: how many pairs of day i's positives and day j's negatives are in order."""
    positive = y == 1
    scores, of_day = p[positive], numbered[positive]
    in_order = np.zeros((days, days))
    for day in range(days):
        others = np.sort(p[~positive & (numbered == day)])
        below = (np.searchsorted(others, scores, "left") + np.searchsorted(others, scores, "right")) / 2
        in_order[:, day] = sum_by_day(below, of_day, days)
    pairs = (draws @ sum_by_day(positive, numbered, days)) * (draws @ sum_by_day(~positive, numbered, days))
    return np.asarray(((draws @ in_order) * draws).sum(axis=1) / pairs)


def _average_precision(y: Floats, p: Floats, numbered: Days, draws: Floats) -> Floats:
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))  # equal scores share one threshold
    found = np.empty(len(draws))
    for each, drawn in enumerate(draws):
        weights = drawn[numbered[order]]
        hits = np.cumsum(weights * y[order])[ends]
        taken = np.cumsum(weights)[ends]
        precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
        found[each] = (np.diff(hits, prepend=0.0) * precision).sum() / hits[-1]
    return found
