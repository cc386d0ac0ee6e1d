"""Intervals around estimates hold as many outcomes as they say, for short and for long estimates alike."""

import numpy as np
import pytest

from esteira.model_card import interval_around
from esteira.training.intervals import coverage, coverage_of_newer_half, residual_bands


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates from 50 to 600 minutes, missed by a twelfth of them, and more often from below."""
    random = np.random.default_rng(seed)
    predictions = random.uniform(50, 600, count)
    return predictions, predictions + predictions / 12 * (random.gamma(2.0, 1.0, count) - 1.5)


@pytest.mark.parametrize("seed", range(5))
def test_nine_of_ten_new_outcomes_lie_inside_whatever_the_estimate(seed: int) -> None:
    bands = residual_bands(*drawn(5_000, seed))
    predictions, outcomes = drawn(20_000, seed + 100)
    assert coverage(bands, predictions, outcomes) == pytest.approx(0.9, abs=0.015)
    for part in (predictions < 150, (predictions > 250) & (predictions < 400), predictions > 500):
        assert coverage(bands, predictions[part], outcomes[part]) == pytest.approx(0.9, abs=0.07)


def test_one_width_for_all_would_fail_both_the_short_and_the_long() -> None:
    predictions, outcomes = drawn(20_000, 3)
    (one,) = residual_bands(predictions[:199], outcomes[:199])  # too few rows for more than one band
    assert coverage((one,), predictions[predictions < 150], outcomes[predictions < 150]) > 0.98
    assert coverage((one,), predictions[predictions > 500], outcomes[predictions > 500]) < 0.82


def test_long_estimates_have_wider_intervals() -> None:
    bands = residual_bands(*drawn(5_000, 1))
    widths = [high - low for low, high in (interval_around(bands, each) for each in (80.0, 300.0, 590.0))]
    assert len(bands) == 5
    assert widths == sorted(widths)
    assert widths[2] > 3 * widths[0]


def test_equal_estimates_share_one_band() -> None:
    outcomes = np.random.default_rng(1).normal(7, 1, 2_000)
    bands = residual_bands(np.full(2_000, 7.0), outcomes)
    assert coverage(bands, np.full(2_000, 7.0), outcomes) == pytest.approx(0.9, abs=0.005)


def test_an_outcome_that_moves_away_leaves_its_intervals() -> None:
    predictions, outcomes = drawn(4_000, 2)
    assert coverage_of_newer_half(predictions, outcomes) == pytest.approx(0.9, abs=0.03)
    moved = outcomes + np.where(np.arange(4_000) < 2_000, 0, 60)
    assert coverage_of_newer_half(predictions, moved) < 0.7
