"""How good served predictions turned out to be, with intervals that know that flights of one day resemble each other.

Every figure is a smooth function of the rows, so its variance is the sum over days of the squared sums of the rows'
influences (cluster-robust variance: Liang and Zeger 1986; for the area under the curve: DeLong 1988 with the clusters
of Obuchowski 1997). It needs no resampling and no seed. Within a single day rows count as independent.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import rankdata, t

from esteira.errors import WrongColumns
from esteira.model_card import Estimate, Frozen
from esteira.monitoring.distribution import Floats
from esteira.monitoring.outcomes import BELATED, KNOWN, PENDING, YOUNG

_SMALLEST_PROBABILITY = 1e-7

Days = npt.NDArray[np.int64]


class Quality(Frozen):
    """The quality of a cohort of predictions, as far as its outcomes are known."""

    predictions: int
    known: int
    """Predictions whose outcome is due and there: all figures are from these."""
    pending: int
    young: int
    belated: int
    coverage: float | None
    """Known among those that are due; None when none is."""
    metrics: Mapping[str, Estimate]
    """Empty when too few outcomes are known. ``bias`` is the mean prediction less the mean outcome."""
    bias_cost: float | None
    """The share of the mean squared error that the bias alone accounts for."""
    baseline: float | None
    """The primary metric of the best constant prediction, known only in hindsight."""


def judge_quality(joined: pl.DataFrame, kind: Literal["binary", "regression"], *, minimum_rows: int = 2) -> Quality:
    """Judge the predictions of ``joined`` (see ``join_outcomes``), day by day dependent, over all days.

    Binary: log_loss, brier, auc (when both outcomes occur), bias. Regression: mae, rmse, bias. Fewer than
    ``minimum_rows`` known outcomes give no figures.

    Raises:
        WrongColumns: a needed column is absent, or a prediction with a known outcome is null or not finite.
    """
    needed = ("prediction", "outcome", "status", "as_of")
    if absent := [name for name in needed if name not in joined.columns]:
        raise WrongColumns(f"Cannot judge quality without {', '.join(absent)}. Give what join_outcomes returned.")
    counts = dict(joined.group_by("status").len().iter_rows())
    known, pending = counts.get(KNOWN, 0), counts.get(PENDING, 0)
    judged = joined.filter(pl.col("status") == KNOWN)
    enough = known >= max(2, minimum_rows)
    metrics = _metrics(judged, kind) if enough else {}
    predicted, outcome = judged["prediction"].to_numpy(), judged["outcome"].to_numpy()
    squared = float(np.mean((predicted - outcome) ** 2)) if enough else 0.0
    return Quality(
        predictions=joined.height,
        known=known,
        pending=pending,
        young=counts.get(YOUNG, 0),
        belated=counts.get(BELATED, 0),
        coverage=known / (known + pending) if known + pending else None,
        metrics=metrics,
        bias_cost=(metrics["bias"].value ** 2 / squared if squared else 0.0) if enough else None,
        baseline=_best_constant(outcome, kind) if enough else None,
    )


def quality_by_day(
    joined: pl.DataFrame, kind: Literal["binary", "regression"], *, minimum_rows: int = 2
) -> dict[date, Quality]:
    """The quality of each day's predictions, oldest day first; days are UTC days of the predictions' ``as_of``."""
    days = joined.with_columns(_day=pl.col("as_of").dt.date()).sort("_day").partition_by("_day", include_key=True)
    return {each["_day"][0]: judge_quality(each.drop("_day"), kind, minimum_rows=minimum_rows) for each in days}


def _metrics(judged: pl.DataFrame, kind: Literal["binary", "regression"]) -> dict[str, Estimate]:
    predicted = judged["prediction"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    outcome = judged["outcome"].to_numpy()
    if not np.isfinite(predicted).all():
        raise WrongColumns(
            f"{int((~np.isfinite(predicted)).sum())} of {predicted.size} predictions with an outcome are null or not "
            "finite. The service never answers so: look for what else writes into the prediction log."
        )
    day = judged["as_of"].dt.date().rank("dense").to_numpy().astype(np.int64) - 1
    error = predicted - outcome
    metrics = {"bias": _mean(error, day)}
    if kind == "regression":
        return {"mae": _mean(np.abs(error), day), "rmse": _root(_mean(error**2, day)), **metrics}
    metrics = {"log_loss": _mean(_log_losses(predicted, outcome), day), "brier": _mean(error**2, day), **metrics}
    if 0 < outcome.sum() < outcome.size:
        metrics["auc"] = _area(predicted, outcome > 0.5, day)
    return metrics


def _mean(values: Floats, day: Days) -> Estimate:
    mean = float(values.mean())
    return _estimate(mean, (values - mean) / values.size, day)


def _area(predicted: Floats, positive: npt.NDArray[np.bool_], day: Days) -> Estimate:
    """The area under the ROC curve, by each row's share of pairs ordered rightly (its placement)."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(predicted)
    placement = np.empty(predicted.size)
    placement[positive] = (ranks[positive] - rankdata(predicted[positive])) / n_negative
    placement[~positive] = 1 - (ranks[~positive] - rankdata(predicted[~positive])) / n_positive
    area = float(placement[positive].mean())
    influence = (placement - area) / np.where(positive, n_positive, n_negative)
    found = _estimate(area, influence, day)
    return found.model_copy(update={"low": max(0.0, found.low), "high": min(1.0, found.high)})


def _estimate(value: float, influence: Floats, day: Days) -> Estimate:
    clusters = influence if day.max() == 0 else np.bincount(day, weights=influence)
    groups = clusters.size
    error = float(np.sqrt(groups / (groups - 1) * np.sum(clusters**2)))
    reach = float(t.ppf(0.975, groups - 1)) * error
    return Estimate(value=value, low=value - reach, high=value + reach, rows=influence.size)


def _root(squared: Estimate) -> Estimate:
    root = [float(np.sqrt(max(0.0, each))) for each in (squared.value, squared.low, squared.high)]
    return Estimate(value=root[0], low=root[1], high=root[2], rows=squared.rows)


def _log_losses(predicted: Floats, outcome: Floats) -> Floats:
    p = np.clip(predicted, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return np.asarray(-outcome * np.log(p) - (1 - outcome) * np.log1p(-p), dtype=np.float64)


def _best_constant(outcome: Floats, kind: Literal["binary", "regression"]) -> float:
    if kind == "regression":
        return float(np.mean(np.abs(outcome - np.median(outcome))))
    return float(np.mean(_log_losses(np.full(outcome.size, outcome.mean()), outcome)))
