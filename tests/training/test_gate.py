import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from esteira.errors import InputError
from esteira.limits import GateLimits
from esteira.training.bootstrap import Floats
from esteira.training.gate import judge
from esteira.training.verdict import Verdict

LIMITS = GateLimits(margin=0.01, baseline_gain=0.02, slice_margin=0.02, minimum_rows=1000, minimum_slice_rows=300)
GENERATOR = np.random.default_rng(5)
DAYS = np.repeat(np.arange(20), 200)
SIGNAL = GENERATOR.normal(size=DAYS.size)
Y = (GENERATOR.uniform(size=DAYS.size) < 1 / (1 + np.exp(-1.5 * SIGNAL))).astype(float)
ORIGIN = np.array(["EWR", "JFK", "LGA", "XXX"])[np.where(np.arange(DAYS.size) < 100, 3, np.arange(DAYS.size) % 3)]


def answers(noise: float = 0.0, seed: int = 0, sharpness: float = 1.5) -> Floats:
    signal = SIGNAL + np.random.default_rng(seed).normal(0, noise, DAYS.size)
    return np.asarray(1 / (1 + np.exp(-sharpness * signal)))


def verdict(**changed: Any) -> Verdict:
    given: dict[str, Any] = {
        "limits": LIMITS, "kind": "binary", "outcomes": Y, "challenger": answers(0.3, 1), "champion": answers(0.3, 2),
        "baseline": float(Y.mean()), "days": DAYS, "slices": {"origin": ORIGIN}, "allowed": (0.0, 1.0),
        "trained_until": datetime(2013, 1, 1, tzinfo=UTC), "judged_from": datetime(2013, 1, 2, tzinfo=UTC), "seed": 1,
    }  # fmt: skip
    given |= changed
    return judge(given.pop("limits"), given.pop("kind"), **given)


def broken(found: Verdict) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


def test_an_equally_good_challenger_passes_and_every_sentence_carries_its_numbers() -> None:
    found = verdict()
    assert found.passed
    assert found.sentences[0] == f"Passed: all {len(found.checks)} checks."
    assert set(found.figures) == {"challenger", "champion", "baseline", "difference", "above_floor"}
    text = " ".join(found.sentences)
    for figure in ("challenger", "champion", "difference"):
        assert f"{abs(found.figures[figure].value):.4f}" in text
    assert "4000 rows of 20 days" in text
    assert "Slices: 3 parts were judged, 1 were too small to judge" in text


def test_the_verdict_survives_json_whole() -> None:
    found = verdict()
    assert Verdict.model_validate(json.loads(json.dumps(found.model_dump(mode="json")))) == found


def test_a_challenger_worse_than_the_margin_is_refused() -> None:
    found = verdict(challenger=answers(1.0, 1), limits=replace(LIMITS, baseline_gain=-1.0))
    assert "non-inferiority" in broken(found)
    assert found.sentences[0].startswith("Refused: non-inferiority")
    assert any(sentence.startswith("FAILED: Challenger log_loss minus champion's") for sentence in found.sentences)


def test_a_better_challenger_passes_and_its_difference_is_negative() -> None:
    found = verdict(champion=answers(0.8, 2))
    assert found.passed
    assert found.figures["difference"].high < 0


def test_too_little_evidence_is_decided_against_the_challenger() -> None:
    some = slice(0, 1200)  # six days: the interval is wider than the margin
    parts = {name: values[some] for name, values in {"outcomes": Y, "days": DAYS}.items()}
    found = verdict(
        **parts, challenger=answers(0.8, 1)[some], champion=answers(0.8, 2)[some], slices={},
        limits=replace(LIMITS, margin=0.001),
    )  # fmt: skip
    assert "non-inferiority" in broken(found)
    assert found.figures["difference"].low < 0.001


def test_the_first_model_is_judged_against_the_constant_prediction() -> None:
    found = verdict(champion=None)
    assert found.passed
    assert "non-inferiority" not in [check.name for check in found.checks]
    assert "worse than the constant prediction" in found.sentences[-1]
    flat = verdict(champion=None, challenger=np.full(Y.size, Y.mean()))
    assert broken(flat) == ["absolute floor"]


def test_no_champion_is_bad_enough_to_let_through_what_a_constant_beats() -> None:
    reckless = answers(2.0, 1, sharpness=4.0)
    assert "absolute floor" in broken(verdict(challenger=reckless, champion=1 - answers()))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.01, -0.01])
def test_one_unsound_prediction_is_enough_to_fail(value: float) -> None:
    challenger = answers()
    challenger[17] = value
    found = verdict(challenger=challenger)
    assert broken(found) == ["sound predictions"]
    assert "1 of 4000 challenger predictions" in found.sentences[0] + " ".join(found.sentences)


def test_an_unsound_champion_outcome_or_baseline_fails() -> None:
    spoiled = answers()
    spoiled[3] = math.nan
    assert broken(verdict(champion=spoiled)) == ["sound champion"]
    assert broken(verdict(outcomes=np.where(np.arange(Y.size) == 1, math.nan, Y))) == ["sound outcomes"]
    assert broken(verdict(outcomes=np.zeros(Y.size))) == ["sound outcomes"]
    assert broken(verdict(baseline=math.nan)) == ["sound baseline"]


def test_too_few_rows_days_or_rows_seen_in_training_fail() -> None:
    assert broken(verdict(limits=replace(LIMITS, minimum_rows=5000))) == ["enough rows"]
    assert broken(verdict(days=DAYS % 4)) == ["enough rows"]
    assert broken(verdict(trained_until=datetime(2013, 1, 2, tzinfo=UTC))) == ["unseen rows"]
    nothing = {"outcomes": [], "challenger": [], "champion": [], "days": [], "slices": {"origin": []}}
    assert "enough rows" in broken(verdict(**nothing))


def test_a_slice_that_suffers_is_named_though_the_whole_is_fine() -> None:
    worse_at_jfk = np.where(ORIGIN == "JFK", answers(1.0, 1), answers(0.0))
    found = verdict(challenger=worse_at_jfk, limits=replace(LIMITS, margin=0.5))
    assert broken(found) == ["slices"]
    assert [each.name for each in found.guardrails if each.is_broken] == ["origin=JFK log_loss difference"]
    assert "origin=JFK log_loss difference (+0." in found.sentences[-1]


def test_a_slice_too_small_to_judge_is_said_so_and_does_not_fail() -> None:
    small = next(each for each in verdict().guardrails if each.name.startswith("origin=XXX"))
    assert (small.rows, small.figure, small.p_value, small.is_broken) == (100, None, None, False)


def test_many_slices_seldom_raise_a_false_alarm() -> None:
    alarms = 0
    for trial in range(60):
        groups = np.random.default_rng(trial).integers(0, 10, DAYS.size).astype(str)
        found = verdict(
            challenger=answers(0.3, 2 * trial + 100), champion=answers(0.3, 2 * trial + 101),
            slices={"group": groups}, limits=replace(LIMITS, slice_margin=0.0, minimum_slice_rows=100),
        )  # fmt: skip
        alarms += any(each.is_broken for each in found.guardrails)
    assert alarms <= 7  # 5 % of 60 is 3; 7 or fewer with probability 0.98


def test_regression_is_judged_by_absolute_error() -> None:
    minutes = 150 + 30 * SIGNAL
    found = verdict(
        kind="regression", outcomes=minutes, challenger=minutes + 5, champion=minutes - 5.2, baseline=150.0,
        allowed=(0.0, 1000.0), limits=replace(LIMITS, margin=0.5),
    )  # fmt: skip
    assert found.passed
    assert found.metric == "mae"
    assert found.figures["difference"].value == pytest.approx(-0.2)


def test_identical_models_differ_by_exactly_nothing() -> None:
    found = verdict(challenger=answers(0.3, 1), champion=answers(0.3, 1), limits=replace(LIMITS, margin=0.0))
    assert found.passed
    assert found.figures["difference"].low == found.figures["difference"].high == 0


def test_columns_of_different_lengths_are_the_callers_mistake() -> None:
    with pytest.raises(InputError, match="different lengths"):
        verdict(champion=answers()[:-1])


def test_answers_pulled_towards_the_middle_are_refused_though_the_loss_allows_it() -> None:
    champion = answers(0.1, 2)
    flattened = 0.9 * answers(0.1, 1) + 0.05  # what a twentieth of labels turned round teaches
    lax = replace(LIMITS, margin=0.5, slice_margin=0.5, baseline_gain=-1.0)
    assert verdict(challenger=flattened, champion=champion, limits=lax).passed
    sharp = replace(lax, least_sharpness=0.9)
    assert broken(verdict(challenger=flattened, champion=champion, limits=sharp)) == ["sharpness"]
    assert verdict(challenger=champion, champion=flattened, limits=sharp).passed
    assert "sharpness" not in [check.name for check in verdict(champion=None, limits=sharp).checks]


def test_nothing_is_flatter_than_a_constant_champion() -> None:
    sharp = replace(LIMITS, least_sharpness=0.9)
    found = verdict(champion=np.full(Y.size, Y.mean()), limits=sharp)
    assert next(check for check in found.checks if check.name == "sharpness").passed
