"""What must hold of every verdict, whatever the rows: found by Hypothesis, not by example."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.limits import FairnessLimit, GateLimits, MetricLimit
from esteira.training.bootstrap import Floats
from esteira.training.gate import judge
from esteira.training.verdict import Verdict

LIMITS = GateLimits(
    margin=0.02, baseline_gain=0.01, slice_margin=0.03, minimum_rows=400, minimum_slice_rows=100,
    floors=(MetricLimit(metric="auc", least=0.55, in_slices=0.5),),
    fairness=(FairnessLimit(column="origin", measure="bias", most_difference=0.1),),
)  # fmt: skip
DAY_COUNT, PER_DAY = 12, 60
DAYS = np.repeat(np.arange(DAY_COUNT), PER_DAY)
seeds = st.integers(0, 2**20)
spreads = st.floats(0.0, 1.5)
few = settings(max_examples=15)
pytestmark = pytest.mark.slow


def rows(seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    signal = generator.normal(0, 1.3, DAYS.size) + np.repeat(generator.normal(0, 0.4, DAY_COUNT), PER_DAY)
    return {
        "signal": signal,
        "y": (generator.uniform(size=DAYS.size) < chance(signal)).astype(float),
        "origin": np.array(["EWR", "JFK", "LGA"])[generator.integers(0, 3, DAYS.size)],
    }


def chance(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


def model(given_rows: dict[str, Any], spread: float, seed: int) -> Floats:
    return chance(given_rows["signal"] + np.random.default_rng(seed).normal(0, 1, DAYS.size) * spread)


def verdict(given_rows: dict[str, Any], challenger: Floats, champion: Floats | None, **changed: Any) -> Verdict:
    facts: dict[str, Any] = {
        "outcomes": given_rows["y"], "baseline": 0.5, "days": DAYS, "slices": {"origin": given_rows["origin"]},
        "groups": {"origin": given_rows["origin"]}, "allowed": (0.0, 1.0), "threshold": 0.5, "seed": 3,
        "trained_until": datetime(2013, 1, 1, tzinfo=UTC), "judged_from": datetime(2013, 1, 2, tzinfo=UTC),
    } | changed  # fmt: skip
    limits = facts.pop("limits", LIMITS)
    return judge(limits, "binary", challenger=challenger, champion=champion, **facts)


def answers(found: Verdict) -> list[tuple[str, bool]]:
    return [(check.name, check.passed) for check in found.checks]


@few
@given(seeds, spreads, spreads)
def test_the_order_of_rows_changes_no_answer(seed: int, ours: float, theirs: float) -> None:
    given_rows = rows(seed)
    challenger, champion = model(given_rows, ours, seed + 1), model(given_rows, theirs, seed + 2)
    one = verdict(given_rows, challenger, champion)
    order = np.random.default_rng(seed).permutation(DAYS.size)
    shuffled = {name: values[order] for name, values in given_rows.items()}
    other = verdict(shuffled, challenger[order], champion[order], days=DAYS[order])
    assert answers(one) == answers(other)
    for name, figure in one.figures.items():
        assert other.figures[name].value == pytest.approx(figure.value, abs=1e-12)
    broken = {each.name for each in one.guardrails if each.is_broken}
    assert broken == {each.name for each in other.guardrails if each.is_broken}


@few
@given(seeds, spreads, spreads)
def test_the_difference_turns_its_sign_when_the_models_change_places(seed: int, ours: float, theirs: float) -> None:
    given_rows = rows(seed)
    one, two = model(given_rows, ours, seed + 1), model(given_rows, theirs, seed + 2)
    there, back = verdict(given_rows, one, two).figures, verdict(given_rows, two, one).figures
    assert there["difference"].value == pytest.approx(-back["difference"].value, abs=1e-12)
    assert there["difference"].low == pytest.approx(-back["difference"].high, abs=1e-12)
    assert there["challenger"] == back["champion"]


@few
@given(seeds, spreads, st.floats(0.0, 1.0))
def test_predictions_nearer_to_every_outcome_never_lose_the_comparison(seed: int, spread: float, share: float) -> None:
    given_rows = rows(seed)
    challenger, champion = model(given_rows, spread, seed + 1), model(given_rows, 0.5, seed + 2)
    nearer = challenger + share * (given_rows["y"] - challenger)
    before, after = (dict(answers(verdict(given_rows, each, champion))) for each in (challenger, nearer))
    for name in ("non-inferiority", "absolute floor", "auc floor"):
        assert after[name] or not before[name], name


@few
@given(seeds, spreads, st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_a_wider_margin_never_turns_a_pass_into_a_refusal(seed: int, spread: float, margin: float, more: float) -> None:
    given_rows = rows(seed)
    challenger, champion = model(given_rows, spread, seed + 1), model(given_rows, 0.3, seed + 2)
    strict, lax = (
        verdict(given_rows, challenger, champion, limits=replace(LIMITS, margin=each, slice_margin=each)).passed
        for each in (margin, margin + more)
    )
    assert lax or not strict


@few
@given(seeds, st.integers(0, DAYS.size - 1), st.sampled_from([np.nan, np.inf, -np.inf, 1.5]), st.booleans())
def test_one_number_that_is_none_refuses_whoever_said_it(seed: int, place: int, value: float, ours: bool) -> None:
    given_rows = rows(seed)
    one, two = model(given_rows, 0.1, seed + 1), model(given_rows, 0.1, seed + 2)
    if not ours and value == 1.5:
        value = np.nan
    (one if ours else two)[place] = value
    assert not verdict(given_rows, one, two).passed


@few
@given(seeds, spreads)
def test_a_model_is_not_worse_than_itself(seed: int, spread: float) -> None:
    given_rows = rows(seed)
    same = model(given_rows, spread, seed + 1)
    found = verdict(given_rows, same, same.copy(), limits=replace(LIMITS, margin=0.0, slice_margin=0.0))
    assert dict(answers(found))["non-inferiority"]
    assert dict(answers(found))["slices"]


@pytest.mark.parametrize(
    ("measured", "limits", "broken"),
    [
        ({"one_row_ms": 3.1}, {"most_one_row_ms": 3.0}, ["latency"]),
        ({"one_row_ms": None}, {"most_one_row_ms": 3.0}, ["latency"]),
        ({"one_row_ms": float("nan")}, {"most_one_row_ms": 3.0}, ["latency"]),
        ({"one_row_ms": 2.9}, {"most_one_row_ms": 3.0}, []),
        ({"size_bytes": 1_001}, {"most_bytes": 1_000}, ["size"]),
        ({"size_bytes": None}, {"most_bytes": 1_000}, ["size"]),
        ({"size_bytes": 0}, {"most_bytes": 1_000}, ["size"]),
        ({"size_bytes": 1_000}, {"most_bytes": 1_000}, []),
    ],
)
def test_speed_and_size_are_limits_like_quality(measured: Any, limits: Any, broken: list[str]) -> None:
    given_rows = rows(1)
    found = verdict(
        given_rows, model(given_rows, 0.1, 1), model(given_rows, 0.1, 2), limits=replace(LIMITS, **limits), **measured
    )
    assert [name for name, passed in answers(found) if not passed] == broken


def test_a_floor_that_is_missed_or_not_defined_refuses() -> None:
    given_rows = rows(4)
    good = model(given_rows, 0.1, 1)
    high = replace(LIMITS, floors=(MetricLimit(metric="auc", least=0.95),))
    assert ("auc floor", False) in answers(verdict(given_rows, good, None, limits=high))
    low = replace(LIMITS, floors=(MetricLimit(metric="brier", most=0.3), MetricLimit(metric="precision", least=0.1)))
    assert verdict(given_rows, good, None, limits=low).passed
    unknown = replace(LIMITS, floors=(MetricLimit(metric="applause", least=0.1),))
    refused = verdict(given_rows, good, None, limits=unknown)
    assert not refused.passed
    assert "Challenger applause is not defined on these rows" in " ".join(refused.sentences)


def test_a_slice_below_its_floor_is_refused_and_named() -> None:
    given_rows = rows(5)
    good = model(given_rows, 0.1, 1)
    upside_down = np.where(given_rows["origin"] == "JFK", 0.5 + 0.2 * (0.5 - good), good)
    found = verdict(given_rows, upside_down, None, limits=replace(LIMITS, slice_margin=5.0))
    assert "origin=JFK auc" in [each.name for each in found.guardrails if each.is_broken]
    assert ("floors", False) in answers(found)
