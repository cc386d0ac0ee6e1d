from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fairlearn import metrics as fairlearn_metrics
from sklearn.metrics import recall_score

from esteira.errors import InputError
from esteira.limits import FairnessLimit, GateLimits, MetricLimit
from esteira.training.fairness import group_gaps, group_values
from esteira.training.gate import judge
from esteira.training.guardrail import Guardrail
from esteira.training.verdict import Verdict

DAYS = np.repeat(np.arange(20), 300)
GENERATOR = np.random.default_rng(3)
GROUP = np.array(["north", "south", "west"])[GENERATOR.integers(0, 3, DAYS.size)]
CHANCE = 1 / (1 + np.exp(-GENERATOR.normal(-0.4, 1.4, DAYS.size)))
Y = (GENERATOR.uniform(size=DAYS.size) < CHANCE).astype(float)
LIMITS = GateLimits(margin=0.05, baseline_gain=0.0, slice_margin=0.5, minimum_rows=1000, minimum_slice_rows=300)
RATIO = FairnessLimit(column="region", measure="selection_rate", least_ratio=0.8)


def verdict(predictions: Any, *limits: FairnessLimit, group: Any = GROUP, **changed: Any) -> Verdict:
    return judge(
        replace(LIMITS, fairness=limits, **changed), "binary", outcomes=Y, challenger=predictions, champion=None,
        baseline=float(Y.mean()), days=DAYS, slices={}, groups={"region": group}, threshold=0.5, allowed=(0.0, 1.0),
        trained_until=datetime(2013, 1, 1, tzinfo=UTC), judged_from=datetime(2013, 1, 2, tzinfo=UTC), seed=1,
    )  # fmt: skip


def gap(found: Verdict, start: str) -> Guardrail:
    return next(each for each in found.guardrails if each.name.startswith(start))


def test_rates_and_ratios_of_groups_are_fairlearns() -> None:
    decided = (CHANCE >= 0.5).astype(float)
    oracle = fairlearn_metrics.MetricFrame(
        metrics=fairlearn_metrics.selection_rate, y_true=Y, y_pred=decided, sensitive_features=GROUP
    )
    values = group_values(RATIO, Y, CHANCE, list(GROUP), 0.5)
    assert values == {"region": oracle.overall, **{f"region={g}": v for g, v in oracle.by_group.items()}}
    found = verdict(CHANCE, RATIO)
    ratios = [each.figure.value for each in found.guardrails if each.figure]
    assert min(ratios) == pytest.approx(oracle.ratio(method="to_overall"))
    apart = replace(RATIO, least_ratio=None, most_difference=0.1)
    differences = [each.figure.value for each in verdict(CHANCE, apart).guardrails if each.figure]
    assert max(differences) == pytest.approx(oracle.difference(method="to_overall"))


def test_true_positive_rates_count_positives_only() -> None:
    limit = FairnessLimit(column="region", measure="true_positive_rate", most_difference=0.2)
    found = gap(verdict(CHANCE, limit), "region=north")
    north = GROUP == "north"
    assert found.rows == int(Y[north].sum())
    expected = abs(recall_score(Y[north], CHANCE[north] >= 0.5) - recall_score(Y, CHANCE >= 0.5))
    assert found.figure is not None
    assert found.figure.value == pytest.approx(expected)
    assert found.figure.low <= expected <= found.figure.high


def test_a_model_that_treats_all_groups_alike_passes() -> None:
    limits = [RATIO, *(
        FairnessLimit(column="region", measure=measure, most_difference=0.1)
        for measure in ("true_positive_rate", "false_positive_rate", "bias")
    )]  # fmt: skip
    found = verdict(CHANCE, *limits)
    assert found.passed, found.sentences
    assert len(found.guardrails) == 12


def test_a_model_that_seldom_warns_one_group_is_refused_and_the_group_is_named() -> None:
    predictions = np.where((GROUP == "west") & (CHANCE < 0.7), np.minimum(CHANCE, 0.45), CHANCE)
    found = verdict(predictions, RATIO)
    assert not found.passed
    assert [check.name for check in found.checks if not check.passed] == ["fairness"]
    assert [each.name for each in found.guardrails if each.is_broken] == ["region=west selection_rate ratio"]
    assert "region=west selection_rate ratio (+0." in " ".join(found.sentences)


@pytest.mark.parametrize("shift", [0.15, -0.15])
def test_a_bias_against_one_group_is_refused_to_either_side(shift: float) -> None:
    predictions = np.clip(np.where(GROUP == "south", CHANCE + shift, CHANCE), 0.0, 1.0)
    limit = FairnessLimit(column="region", measure="bias", most_difference=0.05)
    assert [each.name for each in verdict(predictions, limit).guardrails if each.is_broken] == [
        "region=south bias difference"
    ]


def test_a_group_too_small_to_judge_is_said_so_and_breaks_nothing() -> None:
    few = GROUP.astype(object)
    few[:40] = "east"
    few[40:60] = None
    predictions = np.where(few == "east", 0.01, CHANCE)
    found = verdict(predictions, RATIO, group=list(few))
    for name in ("region=east", "region=missing"):
        assert gap(found, name).figure is None
    assert "3 parts were judged, 2 were too small to judge" in found.sentences[-1]


def test_a_gap_beyond_the_limit_that_may_be_chance_is_told_and_not_refused() -> None:
    found = verdict(CHANCE, replace(RATIO, least_ratio=0.999))
    assert found.passed
    assert "beyond the limit, though it may be chance: region=" in found.sentences[-1]


def test_a_group_never_warned_where_others_are_has_the_ratio_zero() -> None:
    found = verdict(np.where(GROUP == "west", 0.2, CHANCE), RATIO, baseline_gain=-1.0)
    west = gap(found, "region=west")
    assert west.figure is not None
    assert west.figure.value == 0.0
    assert west.is_broken


def test_nobody_warned_anywhere_is_alike() -> None:
    found = verdict(np.full(Y.size, 0.3), RATIO, baseline_gain=-1.0)
    assert {each.figure.value for each in found.guardrails if each.figure} == {1.0}
    assert "fairness" not in [check.name for check in found.checks if not check.passed]


def test_a_regression_is_limited_by_its_bias() -> None:
    limit = FairnessLimit(column="region", measure="bias", most_difference=2.0)
    minutes = GENERATOR.normal(150, 20, DAYS.size)
    predictions = minutes + np.where(GROUP == "north", 9.0, 0.0)
    found = group_gaps(replace(LIMITS, fairness=(limit,)), minutes, predictions, DAYS, 20, {"region": GROUP}, None, 1)
    north = next(each for each in found if each.name.startswith("region=north"))
    assert north.figure is not None
    assert north.figure.value == pytest.approx(9.0 * (1 - (GROUP == "north").mean()))


def test_limits_that_cannot_be_meant_are_refused_when_declared() -> None:
    with pytest.raises(InputError, match="one of them"):
        FairnessLimit(column="region", measure="bias")
    with pytest.raises(InputError, match="one of them"):
        FairnessLimit(column="region", measure="selection_rate", least_ratio=0.8, most_difference=0.1)
    with pytest.raises(InputError, match="has no ratio"):
        FairnessLimit(column="region", measure="bias", least_ratio=0.8)
    with pytest.raises(InputError, match="one of them"):
        MetricLimit(metric="auc")


def test_a_limit_on_what_the_rows_do_not_have_is_the_callers_mistake() -> None:
    with pytest.raises(InputError, match="'shoe_size', which the judged rows do not have; they have region"):
        verdict(CHANCE, replace(RATIO, column="shoe_size"))
