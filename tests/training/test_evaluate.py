import math

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from sklearn import metrics as sklearn_metrics

from esteira.errors import DataError, InputError, NotEnoughData
from esteira.training.evaluate import constant_prediction, evaluate, evaluate_slices, row_losses

GENERATOR = np.random.default_rng(7)
DAYS = np.repeat(np.arange(20), 60)
P = np.round(GENERATOR.uniform(0.02, 0.98, DAYS.size), 2)  # rounded: equal scores occur
Y = (GENERATOR.uniform(size=DAYS.size) < P).astype(float)


def test_binary_figures_equal_scikit_learns() -> None:
    found = evaluate("binary", Y, P, DAYS, seed=1, threshold=0.5)
    expected = {
        "log_loss": sklearn_metrics.log_loss(Y, P),
        "brier": sklearn_metrics.brier_score_loss(Y, P),
        "auc": sklearn_metrics.roc_auc_score(Y, P),
        "average_precision": sklearn_metrics.average_precision_score(Y, P),
        "precision": sklearn_metrics.precision_score(Y, P >= 0.5),
        "recall": sklearn_metrics.recall_score(Y, P >= 0.5),
        "bias": P.mean() - Y.mean(),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].low <= value <= found[name].high
        assert found[name].rows == 1200
    assert found["calibration_error"].value < 0.06


def test_regression_figures_equal_scikit_learns() -> None:
    y = GENERATOR.normal(150, 40, DAYS.size)
    p = y + GENERATOR.normal(2, 10, DAYS.size)
    found = evaluate("regression", y, p, DAYS, seed=1)
    assert found["mae"].value == pytest.approx(sklearn_metrics.mean_absolute_error(y, p))
    assert found["rmse"].value == pytest.approx(sklearn_metrics.root_mean_squared_error(y, p))
    assert found["pinball_90"].value == pytest.approx(sklearn_metrics.mean_pinball_loss(y, p, alpha=0.9))
    assert found["bias"].value == pytest.approx((p - y).mean())
    assert found["bias"].low < 2 < found["bias"].high


def test_intervals_widen_when_the_rows_of_a_day_move_together() -> None:
    shift = np.repeat(GENERATOR.normal(0, 1, 20), 60)
    y = np.zeros(DAYS.size)
    together = evaluate("regression", y, shift, DAYS, seed=1)["bias"]
    apart = evaluate("regression", y, GENERATOR.permutation(shift), DAYS, seed=1)["bias"]
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for trial in range(300):
        draws = np.random.default_rng(trial)
        p = np.repeat(draws.normal(size=14), 10) + draws.normal(size=140)
        found = evaluate("regression", np.zeros(140), p, np.repeat(np.arange(14), 10), seed=trial)["bias"]
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 300 <= 0.985


def test_the_same_seed_gives_the_same_intervals_and_dates_serve_as_days() -> None:
    dates = np.datetime64("2013-01-01") + DAYS
    assert evaluate("binary", Y, P, dates, seed=3) == evaluate("binary", Y, P, DAYS, seed=3)


def test_a_metric_that_one_class_does_not_define_is_left_out() -> None:
    found = evaluate("binary", np.zeros(40), np.full(40, 0.1), np.repeat([1, 2], 20), seed=1, threshold=0.5)
    assert {"auc", "average_precision", "precision", "recall"}.isdisjoint(found)
    assert found["log_loss"].value == pytest.approx(-math.log(0.9))


def test_slices_equal_fairlearns_and_small_ones_carry_no_figures() -> None:
    origin = np.where(np.arange(1200) % 3 == 0, "JFK", "EWR").astype(object)
    origin[:7] = None
    found = {each.slice: each.metrics for each in evaluate_slices("binary", Y, P, DAYS, {"origin": origin}, seed=1)}
    assert list(found) == ["origin=EWR", "origin=JFK", "origin=missing"]
    frame = MetricFrame(
        metrics={"auc": sklearn_metrics.roc_auc_score, "log_loss": sklearn_metrics.log_loss},
        y_true=Y, y_pred=P, sensitive_features=origin.astype(str),
    )  # fmt: skip
    for word in ("EWR", "JFK"):
        for name in ("auc", "log_loss"):
            assert found[f"origin={word}"][name].value == pytest.approx(frame.by_group.loc[word, name])
    assert found["origin=missing"] == {}


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 1200 predictions are not finite"):
        evaluate("binary", Y, np.where(np.arange(1200) == 5, math.nan, P), DAYS, seed=1)
    with pytest.raises(DataError, match=r"0 or 1, but 0\.5"):
        evaluate("binary", np.full(4, 0.5), np.full(4, 0.5), [1, 1, 2, 2], seed=1)
    with pytest.raises(InputError, match="do not match"):
        evaluate("binary", Y, P[:-1], DAYS, seed=1)
    with pytest.raises(NotEnoughData, match="at least two days"):
        evaluate("binary", Y, P, np.zeros(1200), seed=1)


def test_the_constant_prediction_is_the_best_one_without_features() -> None:
    for kind, outcomes in (("binary", Y), ("regression", GENERATOR.exponential(size=501))):
        best = constant_prediction(kind, outcomes)  # type: ignore[arg-type]

        def loss(constant: float) -> float:
            return float(row_losses(kind, outcomes, np.full(len(outcomes), constant)).mean())  # type: ignore[arg-type]  # noqa: B023

        assert loss(best) <= min(loss(best - 0.01), loss(best + 0.01))
