"""Confidence sequences: intervals that hold at every moment at once, so one may look as often as one likes.

An ordinary interval holds at a sample size that was fixed before; who looks every day and stops when it leaves zero out
finds a difference between equals sooner or later. These are the predictable plug-in empirical-Bernstein confidence
sequences of Waudby-Smith and Ramdas (Estimating means of bounded random variables by betting, JRSS B 86, 2024, theorem
2), with bounds that may differ from value to value. They assume no distribution and no large sample: only that each
value lies within bounds known before it. The mean need not stay the same either: what they enclose is the average, so
far, of what each value was to be expected to be, given all before it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Intervals(NamedTuple):
    """An estimate with its interval after each of n values."""

    estimate: Floats
    low: Floats
    high: Floats


def confidence_sequence(values: ArrayLike, low: ArrayLike, high: ArrayLike, *, alpha: float = 0.05) -> Intervals:
    """The mean of ``values`` so far, and where it lies with probability 1 - ``alpha`` at all n moments together.

    Args:
        values: (…, n), in the order in which they became known; the last axis is time.
        low: bounds of each value, known before it (scalars, or as ``values``), in its unit; also ``high``.
        high: see ``low``.
        alpha: how often at most an interval misses, at any of the moments.

    Returns:
        Arrays like ``values``. The estimate is the weighted mean the method rests on: steadier values count alike,
        later ones slightly less, and none by what it is itself.

    >>> equal = confidence_sequence([0.1, -0.1] * 500, -1, 1)
    >>> bool(equal.low[-1] < 0 < equal.high[-1])
    True
    >>> worse = confidence_sequence([0.1, 0.2] * 500, -1, 1)
    >>> bool(worse.low[-1] > 0)
    True
    """
    x = np.asarray(values, dtype=np.float64)
    lowest, highest = np.broadcast_to(low, x.shape), np.broadcast_to(high, x.shape)
    if x.shape[-1] == 0:
        return Intervals(x, x, x)
    t = np.arange(1, x.shape[-1] + 1)
    middle = (lowest[..., :1] + highest[..., :1]) / 2
    mean_before = _before((middle + np.cumsum(x, axis=-1)) / (t + 1), middle)
    squares = (x - mean_before) ** 2
    widest = ((highest - lowest)[..., :1] / 2) ** 2
    variance_before = _before((widest + np.cumsum(squares, axis=-1)) / (t + 1), widest)
    reach = np.maximum(highest - mean_before, mean_before - lowest)
    stakes = np.sqrt(2 * np.log(2 / alpha) / (variance_before * t * np.log(1 + t)))
    stakes = np.minimum(stakes, 0.5 / reach)
    penalty = squares * (-np.log1p(-reach * stakes) - reach * stakes) / reach**2
    total = np.cumsum(stakes, axis=-1)
    estimate = np.cumsum(stakes * x, axis=-1) / total
    width = (np.log(2 / alpha) + np.cumsum(penalty, axis=-1)) / total
    return Intervals(estimate, estimate - width, estimate + width)


class Effects(NamedTuple):
    """Unbiased estimates of one difference, one per unit, and the bounds each had before it was known."""

    values: Floats
    low: Floats
    high: Floats


def paired_effects(champion: ArrayLike, challenger: ArrayLike, worst: float) -> Effects:
    """Loss of the challenger less that of the champion where both said something about each of n units.

    Losses lie within 0 and ``worst``; the last axis is time.
    """
    values = np.asarray(challenger, dtype=np.float64) - np.asarray(champion, dtype=np.float64)
    return Effects(values, np.full_like(values, -worst), np.full_like(values, worst))


def split_effects(losses: ArrayLike, is_challengers: ArrayLike, share: ArrayLike, worst: float) -> Effects:
    """Loss of the challenger less that of the champion where each of n units has met one of them by lot.

    Each loss, less the mean of those before it, counts divided by the chance of its unit to meet whom it met: that is
    right on average whatever the chances are, so the share may change while the comparison runs and the traffic with
    it (Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49, 2021, section 4.2). Losses lie within 0 and
    ``worst``, ``share`` is the chance of each unit to meet the challenger; the last axis is time.
    """
    loss = np.asarray(losses, dtype=np.float64)
    met = np.asarray(is_challengers, dtype=bool)
    chance = np.broadcast_to(np.asarray(share, dtype=np.float64), loss.shape)
    t = np.arange(1, loss.shape[-1] + 1)
    guess = np.full((*loss.shape[:-1], 1), worst / 2)
    expected = _before((guess + np.cumsum(loss, axis=-1)) / (t + 1), guess)
    values = (loss - expected) * np.where(met, 1 / chance, -1 / (1 - chance))
    low = np.minimum(-expected / chance, -(worst - expected) / (1 - chance))
    high = np.maximum((worst - expected) / chance, expected / (1 - chance))
    return Effects(values, low, high)


def _before(running: Floats, first: Floats) -> Floats:
    """What was known before each value: ``running`` one step earlier."""
    return np.concatenate([np.broadcast_to(first, (*running.shape[:-1], 1)), running[..., :-1]], axis=-1)
