"""Intervals by resampling whole days, because what happens on one day is not independent.

A metric is expressed through sums per day, so that a thousand resamples are one matrix product.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

from esteira.errors import NotEnoughData

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]

REPEATS = 1000
CONFIDENCE = 0.95
"""Of every interval that is shown; decisions name their own."""
MINIMUM_DAYS = 5
"""On fewer blocks than this nothing is decided: no interval would be worth the name."""


def number_days(days: npt.ArrayLike) -> tuple[Days, int]:
    """Renumber the day of each row to 0, 1, … without gaps; return the numbers and how many days there are."""
    distinct, numbered = np.unique(np.asarray(days), return_inverse=True)
    return numbered.astype(np.int64), len(distinct)


def draw_days(days: int, *, repeats: int, seed: int) -> Floats:
    """How often each day is drawn, with replacement, in each resample: (repeats, days)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(days, np.full(days, 1 / days), size=repeats).astype(float)


def sum_by_day(values: npt.ArrayLike, numbered: Days, days: int) -> Floats:
    """Sum ``values`` of the rows of each day: (days,)."""
    return np.bincount(numbered, weights=np.asarray(values, dtype=np.float64), minlength=days).astype(np.float64)


def mean_replicates(values: Floats, numbered: Days, days: int, draws: Floats) -> Floats:
    """The mean of ``values`` over the rows of each resample: (repeats,)."""
    sums, rows = sum_by_day(values, numbered, days), sum_by_day(np.ones(len(values)), numbered, days)
    return np.asarray((draws @ sums) / (draws @ rows))


def bounds(replicates: Floats, *, days: int, confidence: float) -> tuple[float, float]:
    """The two-sided percentile interval of a metric's resamples, widened for few days.

    The widening is the expanded percentile interval of Hesterberg, "What Teachers Should Know About the Bootstrap"
    (The American Statistician 69, 2015): plain percentiles are too narrow by about sqrt((n - 1) / n) and by the
    difference between Student's t and the normal distribution.

    Raises NotEnoughData when no resample defines the metric.
    """
    finite = replicates[np.isfinite(replicates)]
    if not finite.size:
        raise NotEnoughData(
            f"None of {replicates.size} resamples of {days} days defines the metric. Judge on more days."
        )
    tail = expanded_tail((1 - confidence) / 2, days)
    return float(np.quantile(finite, tail)), float(np.quantile(finite, 1 - tail))


def expanded_tail(tail: float, days: int) -> float:
    """The percentile to read instead of ``tail`` when there are only ``days`` independent blocks."""
    return float(stats.norm.cdf(np.sqrt(days / (days - 1)) * stats.t.ppf(tail, days - 1)))
