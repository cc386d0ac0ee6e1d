"""How far outcomes lie from estimates: bands that give a new estimate an interval which holds nine of ten outcomes.

Errors grow with the estimate (a long flight is missed by more minutes than a short one), so they are looked at in bands
of the estimate, each for itself: Mondrian conformal regression (Boström and Johansson, COPA 2020), with the two-sided
residual quantiles of split conformal prediction (Lei et al., JASA 2018).
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from esteira.model_card import ResidualBand, interval_around

NINE_OF_TEN = 0.9
_MOST_BANDS, _FEWEST_IN_A_BAND = 5, 200
Floats = NDArray[np.float64]


def residual_bands(predictions: Floats, outcomes: Floats) -> tuple[ResidualBand, ...]:
    """Bands from n estimates and what came of them, none of which the model learned from; equally many rows in each."""
    count = max(1, min(_MOST_BANDS, len(predictions) // _FEWEST_IN_A_BAND))
    edges = np.unique(np.quantile(predictions, np.arange(1, count) / count, method="higher"))
    edges = edges[edges > predictions.min()]  # where many estimates are equal there are fewer bands, none of them empty
    places = np.searchsorted(edges, predictions, side="right")
    limits = [*(float(edge) for edge in edges), None]
    return tuple(
        ResidualBand(below=below, low=low, high=high)
        for place, below in enumerate(limits)
        for low, high in [_nine_of_ten((outcomes - predictions)[places == place])]
    )


def coverage(bands: tuple[ResidualBand, ...], predictions: Floats, outcomes: Floats) -> float:
    """The share of n outcomes that lie in the intervals around their estimates."""
    around = np.array([interval_around(bands, float(each)) for each in predictions])
    return float(((outcomes >= around[:, 0]) & (outcomes <= around[:, 1])).mean())


def coverage_of_newer_half(predictions: Floats, outcomes: Floats) -> float:
    """The share of the newer half of n rows, in order of time, that lies in intervals learned from the older half."""
    half = len(predictions) // 2
    bands = residual_bands(predictions[:half], outcomes[:half])
    return coverage(bands, predictions[half:], outcomes[half:])


def _nine_of_ten(residuals: Floats) -> tuple[float, float]:
    """The residuals between which nine of ten lie, on the safe side for the next one that is drawn."""
    ordered, count = np.sort(residuals), len(residuals)
    beyond = (1 - NINE_OF_TEN) / 2
    upper = min(count, ceil((count + 1) * (1 - beyond))) - 1
    return float(ordered[count - 1 - upper]), float(ordered[upper])
