from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from esteira.contract import FeatureRows, ServingPolicy, utc
from esteira.errors import FeatureError, InvalidRequest, ModelError
from esteira.model_card import CONSTANT, ResidualBand
from esteira.rules import Bands, Condition, Floor, Suppress
from esteira.serving import answering
from esteira.serving.answering import Drawn
from esteira.serving.answers import Answer
from esteira.serving.following import Serving
from esteira.serving.freshness import Shortfall
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from tests.serving.models import card, linear_pipeline, xgboost_pipeline
from tests.serving.test_following import Named

NOW = utc("2013-03-01T12:00:00Z")
ROWS = {"flight_id": ["a", "b"], "origin": ["JFK", "LGA"]}
RULES = (
    Bands(name="outlook", reason="Words.", bands=((0.0, "low"), (0.5, "high"))),
    Floor(name="least", reason="Base rate.", at_least=0.3, when=Condition(column="origin", values=("LGA",))),
)


class TwoViews:
    """Features as one read found them: the second flight's origin has no recent departures."""

    def read(self, rows: Mapping[str, Sequence[Any]], as_of: datetime) -> FeatureRows:
        return FeatureRows(
            values={"origin": list(rows["origin"]), "distance": [1400, 200], "delay_mean_2h": [12.5, None]},
            event_times={
                "flight_plan": [as_of - timedelta(days=7)] * 2,
                "origin": [as_of - timedelta(minutes=5), None],
            },
            created_times={"flight_plan": [as_of - timedelta(days=7)] * 2, "origin": [as_of, None]},
        )


CARD = card(baseline={CONSTANT: 0.22})
SERVING = Serving(release=Named(7), predictor=Predictor(CARD, xgboost_pipeline()), features=TwoViews())
FOUND = SERVING.features.read(ROWS, NOW)


@dataclass(frozen=True)
class Ahead:
    output: float = 0.7
    as_of: datetime = NOW - timedelta(hours=3)
    given: Mapping[str, Any] = field(default_factory=dict)
    feature_ages: Mapping[str, float | None] = field(default_factory=lambda: {"origin": 3600.0, "flight_plan": None})
    missing: tuple[str, ...] = ("delay_mean_2h",)


def computed(**options: Any) -> list[Drawn]:
    return answering.compute(SERVING, ["a", "b"], FOUND, as_of=NOW, **options)


def answered(drawn: list[Drawn], serving: Serving = SERVING) -> list[Answer]:
    return answering.answers(serving, drawn, ROWS, now=NOW + timedelta(seconds=30))[0]


def test_an_answer_tells_release_model_ages_and_what_was_missing() -> None:
    first, second = answered(computed())
    assert (first.entity_id, first.release, first.model_version, first.source) == ("a", 7, "m1", "computed")
    assert (first.computed_at, first.age_seconds) == (NOW, 30)
    assert first.feature_ages == {"flight_plan": 7 * 86400, "origin": 300}
    assert second.feature_ages == {"flight_plan": 7 * 86400, "origin": None}
    assert (first.missing, second.missing) == ([], ["delay_mean_2h"])
    assert first.prediction_id != second.prediction_id
    assert [first.prediction, second.prediction] == SERVING.predictor.predict(FOUND.values).tolist()
    assert first.decision is (first.prediction >= 0.5)
    assert (first.interval, first.explanation, first.fallback, first.stale) == (None, None, None, [])


def test_an_answer_is_what_its_type_says_although_it_is_not_checked_again() -> None:
    for answer in answered(computed(explain=True)):
        assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_the_future_cannot_be_asked() -> None:
    with pytest.raises(InvalidRequest, match="the service's clock says 2013-03-01T12:00:00"):
        answering.require_past(NOW + timedelta(hours=1), NOW)
    answering.require_past(NOW + timedelta(seconds=20), NOW)


def test_an_entity_is_answered_once_per_request() -> None:
    with pytest.raises(InvalidRequest, match="'a' is asked for more than once"):
        answering.require_distinct(["a", "b", "a"])


def test_the_same_output_made_ahead_is_answered_and_post_processed_as_if_computed() -> None:
    ruled = replace(SERVING, predictor=Predictor(CARD, xgboost_pipeline(), _rules()))
    now = [each._replace(output=0.1) for each in computed()]
    ahead = [answering.drawn_ahead(each.entity_id, Ahead(output=0.1)) for each in now]
    for one, other in zip(answered(now, ruled), answered(ahead, ruled), strict=True):
        assert (one.prediction, one.band, one.changes) == (other.prediction, other.band, other.changes)
    cached = answered(ahead, ruled)
    assert [each.prediction for each in cached] == [0.1, 0.3]
    assert [len(each.changes) for each in cached] == [0, 1]
    assert (cached[0].source, cached[0].age_seconds, cached[0].missing) == ("cached", 3 * 3600 + 30, ["delay_mean_2h"])
    assert cached[0].feature_ages == {"origin": 3600, "flight_plan": None}


def test_what_is_suppressed_is_told_without_any_number_and_logged_with_it() -> None:
    law = Suppress(name="court", reason="By order of the court.", when=Condition(column="origin", values=("JFK",)))
    ruled = replace(SERVING, predictor=Predictor(CARD, xgboost_pipeline(), _rules(law)))
    told, logged = answering.answers(ruled, computed(explain=True), ROWS, now=NOW)
    assert (told[0].prediction, told[0].decision, told[0].band, told[0].explanation) == (None, None, None, None)
    assert told[0].suppressed == "By order of the court."
    assert [(each.before, each.after) for each in told[0].changes] == [(None, None)]
    assert logged[0].prediction == SERVING.predictor.predict(FOUND.values)[0]
    assert logged[0].changes[0].before == logged[0].prediction


LONG = ResidualBand(below=None, low=-5, high=50)


def test_an_estimate_comes_with_its_interval_inside_the_bounds() -> None:
    estimate = card(kind="regression", bounds=(0.0, 60.0), residuals=(ResidualBand(below=40, low=-20, high=30), LONG))
    serving = replace(SERVING, predictor=Predictor(estimate, linear_pipeline()))
    outputs = [each._replace(output=output) for each, output in zip(computed(), (10.0, 45.0), strict=True)]
    assert [each.interval for each in answered(outputs, serving)] == [(0.0, 40.0), (40.0, 60.0)]
    assert [each.decision for each in answered(outputs, serving)] == [None, None]


POLICY = ServingPolicy(due="departs", compute_within=timedelta(hours=6), cached_for=timedelta(hours=24))


def test_what_is_due_soon_is_computed_and_what_is_due_later_may_be_looked_up() -> None:
    departs = {"departs": [(NOW + timedelta(hours=hours)).timestamp() for hours in (5.9, 6, 6.1, -1)]}
    assert [answering.is_due_later(POLICY, departs, place, NOW) for place in range(4)] == [False, False, True, False]
    assert answering.is_due_later(ServingPolicy(), {}, 0, NOW)


def test_a_prediction_made_ahead_is_too_old_from_the_policys_age_on() -> None:
    assert answering.too_old(Ahead(as_of=NOW - timedelta(hours=24)), POLICY, NOW) is None
    assert "none older than 1 day" in str(answering.too_old(Ahead(as_of=NOW - timedelta(hours=25)), POLICY, NOW))


def test_a_shortfall_is_met_as_the_policy_says_and_told() -> None:
    now = computed()[1]
    stale = ("origin",)
    told = answering.fall_back(SERVING, "b", Shortfall(stale, "answer", "why"), now, None, as_of=NOW)
    assert (told.output, told.source, told.stale, told.fallback) == (now.output, "computed", stale, None)
    told = answering.fall_back(SERVING, "b", Shortfall(stale, "default", "origin is absent"), now, None, as_of=NOW)
    assert (told.output, told.source, told.stale) == (0.22, "default", stale)
    assert told.fallback == "The release's constant is given, because origin is absent."
    told = answering.fall_back(SERVING, "b", Shortfall(stale, "cached", "origin is absent"), now, Ahead(), as_of=NOW)
    assert (told.output, told.source, told.computed_at, told.stale) == (0.7, "cached", Ahead().as_of, stale)
    assert told.fallback == "The prediction made ahead is given, because origin is absent."
    assert answering.fall_back(SERVING, "b", None, now, None, as_of=NOW) == now


def test_a_shortfall_that_cannot_be_met_is_refused_with_the_reason() -> None:
    now = computed()[1]
    with pytest.raises(FeatureError, match=r"Cannot predict for 'b', because origin is absent\. Ask again"):
        answering.fall_back(SERVING, "b", Shortfall((), "refuse", "origin is absent"), now, Ahead(), as_of=NOW)
    with pytest.raises(FeatureError, match="There is no prediction made ahead either"):
        answering.fall_back(SERVING, "b", Shortfall((), "cached", "the store is gone"), None, None, as_of=NOW)
    with pytest.raises(FeatureError, match="the store is gone"):
        answering.fall_back(SERVING, "b", Shortfall((), "answer", "the store is gone"), None, None, as_of=NOW)
    without = replace(SERVING, predictor=Predictor(card(), xgboost_pipeline()))
    with pytest.raises(ModelError, match="has no constant_prediction"):
        answering.fall_back(without, "b", Shortfall((), "default", "it is gone"), None, None, as_of=NOW)


def _rules(*more: Any) -> PostProcessing:
    return PostProcessing(kind="binary", threshold=0.5, bounds=(0.01, 0.99), rules=(*RULES, *more))
