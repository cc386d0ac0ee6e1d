from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, roc_auc_score

from esteira.contract import utc
from esteira.errors import WrongColumns
from esteira.monitoring.quality import judge_quality, quality_by_day

START = utc("2013-03-01")


def cohort(predicted: list[float | None], outcome: list[float | None], status: list[str] | None = None) -> pl.DataFrame:
    """One prediction an hour from START."""
    return pl.DataFrame(
        {
            "prediction": pl.Series(predicted, dtype=pl.Float64),
            "outcome": pl.Series(outcome, dtype=pl.Float64),
            "status": status or ["known"] * len(predicted),
            "as_of": [START + timedelta(hours=hour) for hour in range(len(predicted))],
        }
    )


def served(days: int, seed: int, day_effect: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=24 * days) - 1
    effect = np.repeat(rng.normal(size=days) * day_effect, 24)
    outcome = (rng.random(score.size) < 1 / (1 + np.exp(-score - effect))).astype(float)
    return cohort((1 / (1 + np.exp(-score))).tolist(), outcome.tolist())


def test_figures_are_those_of_scikit_learn() -> None:
    frame = served(20, 1)
    predicted, outcome = frame["prediction"].to_numpy().round(1).clip(0.05, 0.95), frame["outcome"].to_numpy()
    found = judge_quality(frame.with_columns(prediction=pl.Series(predicted)), "binary").metrics
    assert found["log_loss"].value == pytest.approx(log_loss(outcome, predicted))
    assert found["auc"].value == pytest.approx(roc_auc_score(outcome, predicted))
    assert found["brier"].value == pytest.approx(brier_score_loss(outcome, predicted))
    assert found["bias"].value == pytest.approx(predicted.mean() - outcome.mean())
    assert all(each.low < each.value < each.high and each.rows == 480 for each in found.values())


def test_regression_is_judged_in_the_units_of_its_outcome() -> None:
    found = judge_quality(cohort([10.0, 20.0, 30.0], [12.0, 20.0, 34.0]), "regression")
    assert found.metrics["mae"].value == pytest.approx(mean_absolute_error([12, 20, 34], [10, 20, 30]))
    assert found.metrics["rmse"].value == pytest.approx((20 / 3) ** 0.5)
    assert found.metrics["bias"].value == pytest.approx(-2.0)
    assert found.bias_cost == pytest.approx(4 / (20 / 3))
    assert found.baseline == pytest.approx((8 + 0 + 14) / 3)
    assert "auc" not in found.metrics


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = judge_quality(served(10_000, 0, day_effect=0.8), "binary").metrics
    found = [judge_quality(served(21, seed, day_effect=0.8), "binary").metrics for seed in range(1, 301)]
    for metric in ("log_loss", "auc", "bias"):
        held = [each[metric].low <= truth[metric].value <= each[metric].high for each in found]
        assert np.mean(held) == pytest.approx(0.95, abs=0.035)


def test_days_that_differ_widen_the_interval() -> None:
    frame = served(30, 4, day_effect=1.5)
    shuffled = frame.with_columns(pl.col("as_of").shuffle(seed=1))
    by_day, blind = (judge_quality(each, "binary").metrics["bias"] for each in (frame, shuffled))
    assert by_day.high - by_day.low > 1.4 * (blind.high - blind.low)


def test_coverage_counts_what_is_due_and_says_what_is_not() -> None:
    statuses = ["known", "known", "known", "pending", "young", "young", "belated"]
    found = judge_quality(cohort([0.5] * 7, [1.0, 0.0, 1.0, None, None, None, None], statuses), "binary")
    assert (found.predictions, found.known, found.pending, found.young, found.belated) == (7, 3, 1, 2, 1)
    assert found.coverage == 0.75
    assert found.metrics["bias"].rows == 3


def test_nothing_is_said_of_a_cohort_whose_outcomes_are_not_due() -> None:
    for frame in (cohort([0.5] * 3, [None] * 3, ["young"] * 3), cohort([], [])):
        found = judge_quality(frame, "binary")
        assert found.metrics == {}
        assert (found.coverage, found.bias_cost, found.baseline) == (None, None, None)


def test_too_few_outcomes_give_no_figures() -> None:
    assert judge_quality(served(1, 1), "binary", minimum_rows=25).metrics == {}
    assert judge_quality(cohort([0.5], [1.0]), "binary").metrics == {}


def test_one_outcome_only_has_no_area_under_the_curve() -> None:
    found = judge_quality(cohort([0.2, 0.4], [0.0, 0.0]), "binary").metrics
    assert sorted(found) == ["bias", "brier", "log_loss"]


def test_perfect_predictions_have_no_error_and_no_bias_to_pay_for() -> None:
    found = judge_quality(cohort([1.0, 0.0], [1.0, 0.0]), "binary")
    assert found.metrics["auc"].value == 1.0
    assert found.metrics["brier"].value == 0.0
    assert found.bias_cost == 0.0


def test_each_day_is_judged_by_itself() -> None:
    found = quality_by_day(served(3, 2), "binary")
    assert list(found) == [date(2013, 3, 1), date(2013, 3, 2), date(2013, 3, 3)]
    assert all(each.known == 24 and each.metrics["bias"].rows == 24 for each in found.values())


def test_a_prediction_that_is_no_number_is_an_error_and_not_a_bad_score() -> None:
    with pytest.raises(WrongColumns, match="1 of 2 predictions"):
        judge_quality(cohort([None, 0.5], [1.0, 0.0]), "binary")
    with pytest.raises(WrongColumns, match="without status"):
        judge_quality(cohort([0.5], [1.0]).drop("status"), "binary")
