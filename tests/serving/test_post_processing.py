from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from esteira.errors import ModelError
from esteira.rules import Bands, Boost, Clip, Condition, Floor, Rank, Rule, Suppress, parse_rules
from esteira.serving.post_processing import PostProcessing

JFK = Condition(column="origin", values=("JFK",))
ORIGINS = {"origin": ["JFK", "LGA", None, "JFK"]}


def rules(*declared: Rule, **changes: Any) -> PostProcessing:
    return PostProcessing(**{"kind": "binary", "threshold": 0.5, "bounds": (0.01, 0.99), "rules": declared, **changes})


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(-1e6, 1e6), st.floats(0.1, 1e6))
def test_nothing_leaves_the_bounds_and_what_is_inside_stays(raw: list[float], low: float, width: float) -> None:
    within = PostProcessing(kind="regression", threshold=0.0, bounds=(low, low + width))
    answers = [each.prediction for each in within.apply(raw, {})]
    assert all(low <= each <= low + width for each in answers)
    assert [a for a, r in zip(answers, raw, strict=True) if low <= r <= low + width] == [
        r for r in raw if low <= r <= low + width
    ]


PLACES = st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["JFK", "LGA", None])), min_size=1, max_size=8)
CONDITIONS = st.sampled_from([None, JFK])
RULES = st.lists(
    st.one_of(
        st.builds(Clip, name=st.just("c"), reason=st.just("r"), low=st.just(0.2), high=st.just(0.7), when=CONDITIONS),
        st.builds(Floor, name=st.just("f"), reason=st.just("r"), at_least=st.sampled_from([0.1, 0.9]), when=CONDITIONS),
        st.builds(Boost, name=st.just("b"), reason=st.just("r"), factor=st.sampled_from([0.5, 3]), when=CONDITIONS),
        st.builds(Suppress, name=st.just("s"), reason=st.just("law"), when=CONDITIONS),
        st.builds(Rank, name=st.just("k"), reason=st.just("r"), each=st.just("origin"), at_most=st.just(1)),
    ),
    max_size=5,
)


@given(PLACES, RULES)
def test_what_is_answered_is_what_the_gate_judged_and_every_change_is_told(
    asked: list[tuple[float, str | None]], declared: list[Rule]
) -> None:
    outputs, keys = [output for output, _ in asked], {"origin": [origin for _, origin in asked]}
    processing = rules(*declared)
    answers = processing.apply(outputs, keys)
    assert [each.prediction for each in answers] == processing.adjust(np.array(outputs), keys).tolist()
    for output, answer in zip(outputs, answers, strict=True):
        moved = [each for each in answer.changes if each.what == "prediction"]
        assert (answer.prediction == output) or moved
        assert [each.after for each in moved][-1:] in ([], [answer.prediction])
        assert answer.decision == (answer.prediction >= 0.5)
        assert (answer.suppressed is not None) == any(each.what == "suppressed" for each in answer.changes)


@given(PLACES, RULES)
def test_ranks_number_what_is_shown_without_gaps(asked: list[tuple[float, str | None]], declared: list[Rule]) -> None:
    keys = {"origin": [origin for _, origin in asked]}
    ranking = Rank(name="last", reason="r")
    answers = rules(*declared, ranking).apply([output for output, _ in asked], keys)
    shown = [each.rank for each in answers if each.suppressed is None]
    assert sorted(shown) == list(range(1, len(shown) + 1))  # type: ignore[type-var]


def test_a_clip_and_a_floor_move_only_those_they_are_for() -> None:
    clip = Clip(name="cap", reason="No certainty at JFK.", low=0.1, high=0.6, when=JFK)
    floor = Floor(name="least", reason="Never below the base rate.", at_least=0.2)
    answers = rules(clip, floor).apply([0.9, 0.9, 0.15, 0.05], ORIGINS)
    assert [each.prediction for each in answers] == [0.6, 0.9, 0.2, 0.2]
    assert [[(c.rule, c.before, c.after) for c in each.changes] for each in answers] == [
        [("cap", 0.9, 0.6)],
        [],
        [("least", 0.15, 0.2)],
        [("cap", 0.05, 0.1), ("least", 0.1, 0.2)],
    ]


def test_a_band_is_the_last_that_begins_at_or_below_the_prediction() -> None:
    bands = Bands(name="risk", reason="Words.", bands=((0.2, "medium"), (0.5, "high")))
    answers = rules(bands).apply([0.1, 0.2, 0.49, 0.5], ORIGINS)
    assert [each.band for each in answers] == [None, "medium", "medium", "high"]


def test_a_boost_moves_ranks_and_leaves_the_probability_alone() -> None:
    boost = Boost(name="hub", reason="Hub first.", factor=3, when=JFK)
    answers = rules(boost, Rank(name="order", reason="Most urgent first.")).apply([0.2, 0.5, 0.4, 0.1], ORIGINS)
    assert [each.rank for each in answers] == [1, 2, 3, 4]
    assert [each.prediction for each in answers] == [0.2, 0.5, 0.4, 0.1]
    assert [(c.what, c.before, c.after) for c in answers[0].changes] == [("score", 0.2, 0.2 * 3), ("rank", 3.0, 1.0)]


def test_a_varied_ranking_shows_each_kind_before_any_has_more_than_its_share() -> None:
    varied = Rank(name="mix", reason="Several airports.", each="origin", at_most=1)
    answers = rules(varied).apply([0.9, 0.2, 0.1, 0.8], ORIGINS)
    assert [each.rank for each in answers] == [1, 2, 3, 4]
    assert [(c.before, c.after) for c in answers[3].changes] == [(2.0, 4.0)]


def test_what_the_law_withholds_is_not_ranked_and_says_why() -> None:
    law = Suppress(name="court", reason="Order 12/2013 of the court of New York.", when=JFK)
    answers = rules(law, Rank(name="order", reason="r")).apply([0.9, 0.2, 0.4, 0.8], ORIGINS)
    assert [each.suppressed for each in answers] == [law.reason, None, None, law.reason]
    assert [each.rank for each in answers] == [None, 2, 1, None]
    assert answers[0].changes[0].before == 0.9  # for the log


def test_a_condition_on_a_column_that_requests_do_not_have_is_told() -> None:
    clip = Clip(name="cap", reason="r", low=0.1, high=0.6, when=JFK)
    with pytest.raises(ModelError, match="looks at 'origin', which the request does not have"):
        rules(clip).apply([0.5], {"carrier": ["UA"]})
    with pytest.raises(ModelError, match="'origin'"):
        rules(clip).adjust(np.array([0.5]), {})
    with pytest.raises(ModelError, match="'origin'"):
        rules(Rank(name="m", reason="r", each="origin", at_most=1)).apply([0.5], {})


def test_the_decision_is_yes_from_the_threshold_on() -> None:
    processing = rules(threshold=0.35, bounds=(0.0, 1.0))
    assert [each.decision for each in processing.apply([0.349, 0.35, 0.9], {})] == [False, True, True]


def test_an_estimate_decides_nothing() -> None:
    assert rules(kind="regression", bounds=(0.0, 900.0)).apply([120.0], {})[0].decision is None


@pytest.mark.parametrize("bounds", [(0.9, 0.1), (0.5, 0.5), (-0.1, 1.0), (0.0, 1.1)])
def test_impossible_bounds_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="bounds"):
        rules(bounds=bounds)


def test_rules_survive_the_ledger_and_the_card_as_json() -> None:
    declared = (
        Clip(name="cap", reason="r", low=0.1, high=0.6, when=JFK),
        Bands(name="risk", reason="r", bands=((0.2, "medium"), (0.5, "high"))),
        Rank(name="mix", reason="r", each="origin", at_most=1),
    )
    assert parse_rules([each.model_dump(mode="json") for each in declared]) == declared


@pytest.mark.parametrize(
    "declared",
    [
        {"rule": "clip", "low": 0.6, "high": 0.1},
        {"rule": "clip", "low": float("nan"), "high": 0.1},
        {"rule": "bands", "bands": [[0.5, "b"], [0.2, "a"]]},
        {"rule": "bands", "bands": []},
        {"rule": "boost", "factor": 0},
        {"rule": "rank", "at_most": 2},
        {"rule": "rank", "when": {"column": "origin", "values": ["JFK"]}},
        {"rule": "suppress", "why": "x"},
        {"rule": "sort"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_declared(declared: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse_rules([{"name": "n", "reason": "r", **declared}])


def test_a_rule_that_would_leave_the_bounds_is_refused() -> None:
    with pytest.raises(ValidationError, match="outside the bounds"):
        rules(Floor(name="f", reason="r", at_least=0.999))
