"""The promise of the sequential test, by simulation: looking after every value finds at most one of twenty equals."""

import numpy as np
import pytest

from esteira.monitoring.sequential import Intervals, confidence_sequence, paired_effects, split_effects

SIMULATIONS, UNITS = 1_000, 3_000


def ever_told_apart(found: Intervals) -> float:
    """The share of simulations in which an interval left zero out at any moment."""
    return float(((found.low > 0) | (found.high < 0)).any(axis=-1).mean())


def brier(random: np.random.Generator, *, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes of flights and what two equally good models say of them, in simulations by units."""
    truth = random.beta(1.2, 4, (SIMULATIONS, UNITS))
    said = [np.clip(truth + random.normal(0, noise, truth.shape), 0.001, 0.999) for _ in range(2)]
    return random.random(truth.shape) < truth, said[0], said[1]


def test_equals_in_the_shadow_are_told_apart_at_most_once_in_twenty_under_continuous_peeking() -> None:
    outcome, champion, challenger = brier(np.random.default_rng(1), noise=0.2)
    found = confidence_sequence(*paired_effects((champion - outcome) ** 2, (challenger - outcome) ** 2, 1.0))
    assert ever_told_apart(found) <= 0.05


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_equals_in_a_split_are_told_apart_at_most_once_in_twenty_under_continuous_peeking(share: float) -> None:
    random = np.random.default_rng(2)
    outcome, said, _ = brier(random, noise=0.1)
    its = random.random(said.shape) < share
    found = confidence_sequence(*split_effects((said - outcome) ** 2, its, share, 1.0))
    assert ever_told_apart(found) <= 0.05


def test_a_share_that_rises_while_the_traffic_becomes_harder_makes_no_difference_of_equals() -> None:
    random = np.random.default_rng(3)
    share = np.where(np.arange(UNITS) < UNITS / 2, 0.1, 0.7)
    losses = random.random((SIMULATIONS, UNITS)) * np.where(np.arange(UNITS) < UNITS / 2, 0.1, 0.6)
    its = random.random(losses.shape) < share
    naive = np.array([row[mine].mean() - row[~mine].mean() for row, mine in zip(losses, its, strict=True)])
    assert (naive > 0.05).all()  # what a plain comparison of the two groups would say
    found = confidence_sequence(*split_effects(losses, its, share, 1.0))
    assert ever_told_apart(found) <= 0.05
    assert abs(found.estimate[:, -1].mean()) < 0.01


def test_an_ordinary_interval_would_not_keep_the_promise() -> None:
    random = np.random.default_rng(4)
    values = random.choice([-0.2, 0.2], (SIMULATIONS, UNITS))
    t = np.arange(1, UNITS + 1)
    naive = np.abs(np.cumsum(values, axis=-1) / t) > 1.96 * 0.2 / np.sqrt(t)
    assert naive[:, 30:].any(axis=-1).mean() > 0.3
    assert ever_told_apart(confidence_sequence(values, -1, 1)) <= 0.05


def test_extreme_and_lopsided_losses_keep_the_promise_too() -> None:
    random = np.random.default_rng(5)
    # Mean zero: one in a hundred is as bad as can be. Intervals that trust a normal law fail at this.
    values = np.where(random.random((SIMULATIONS, UNITS)) < 0.01, 0.99, -0.01)
    assert ever_told_apart(confidence_sequence(values, -1, 1)) <= 0.05


def test_a_worse_challenger_is_found_soon_and_in_almost_every_simulation() -> None:
    random = np.random.default_rng(6)
    outcome, champion, _ = brier(random, noise=0.05)
    unrelated = np.roll(champion, 1, axis=-1)
    harm = paired_effects((champion - outcome) ** 2, (unrelated - outcome) ** 2, 1.0)
    found = confidence_sequence(*harm)
    assert (found.low[:, 999] > 0).mean() > 0.95
    met = random.random(outcome.shape) < 0.5
    split = split_effects((np.where(met, 1 - champion, champion) - outcome) ** 2, met, 0.5, 1.0)
    assert (confidence_sequence(*split).low[:, 999] > 0).mean() > 0.95


def test_intervals_enclose_the_true_difference() -> None:
    random = np.random.default_rng(7)
    met = random.random((SIMULATIONS, UNITS)) < 0.3
    losses = random.beta(2, 8, met.shape) + np.where(met, 0.05, 0.0)
    found = confidence_sequence(*split_effects(np.minimum(losses, 1), met, 0.3, 1.0))
    missed = ((found.low > 0.05) | (found.high < 0.05)).any(axis=-1).mean()
    assert missed <= 0.05
    assert found.estimate[:, -1].mean() == pytest.approx(0.05, abs=0.005)


def test_what_is_known_later_changes_nothing_said_before() -> None:
    values = np.random.default_rng(8).uniform(-1, 1, 400)
    short, long = confidence_sequence(values[:250], -1, 1), confidence_sequence(values, -1, 1)
    for one, other in zip(short, long, strict=True):
        np.testing.assert_array_equal(one, other[:250])


def test_nothing_known_gives_no_interval() -> None:
    assert confidence_sequence([], -1, 1).estimate.size == 0
