from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from esteira.contract import FeatureRows, utc
from esteira.errors import InvalidRequest, UnknownName
from esteira.serving.answering import answer_cached, answer_computed, require_past
from esteira.serving.following import Serving
from esteira.serving.predictor import Predictor
from tests.serving.models import card, xgboost_pipeline
from tests.serving.test_following import Named

NOW = utc("2013-03-01T12:00:00Z")
ROWS = {"flight_id": ["a", "b"], "origin": ["JFK", "LGA"]}


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


SERVING = Serving(release=Named(7), predictor=Predictor(card(), xgboost_pipeline()), features=TwoViews())


@dataclass(frozen=True)
class Ahead:
    prediction_id: str = "e1/2013-03-01/a"
    prediction: float = 0.7
    as_of: datetime = NOW - timedelta(hours=3)
    event_times: Mapping[str, datetime | None] = None  # type: ignore[assignment]
    missing: tuple[str, ...] = ("delay_mean_2h",)


def test_an_answer_tells_release_model_ages_and_what_was_missing() -> None:
    answers, found = answer_computed(SERVING, ["a", "b"], ROWS, as_of=NOW, now=NOW + timedelta(seconds=30))
    first, second = answers
    assert (first.entity_id, first.release, first.model_version, first.source) == ("a", 7, "m1", "computed")
    assert (first.computed_at, first.age_seconds) == (NOW, 30)
    assert first.feature_ages == {"flight_plan": 7 * 86400, "origin": 300}
    assert second.feature_ages == {"flight_plan": 7 * 86400, "origin": None}
    assert (first.missing, second.missing) == ([], ["delay_mean_2h"])
    assert first.prediction_id != second.prediction_id
    assert [first.prediction, second.prediction] == SERVING.predictor.predict(found.values).tolist()
    assert first.decision is (first.prediction >= 0.5)


def test_the_future_cannot_be_asked() -> None:
    with pytest.raises(InvalidRequest, match="the service's clock says 2013-03-01T12:00:00"):
        require_past(NOW + timedelta(hours=1), NOW)
    require_past(NOW + timedelta(seconds=20), NOW)


def test_an_entity_is_answered_once_per_request() -> None:
    with pytest.raises(InvalidRequest, match="'a' is asked for more than once"):
        answer_computed(SERVING, ["a", "a"], ROWS, as_of=NOW, now=NOW)


def test_an_unknown_airport_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidRequest, match="Unknown origin 'XXX'"):
        answer_computed(SERVING, ["a"], {**ROWS, "origin": ["XXX"]}, as_of=NOW, now=NOW)


def test_a_cached_answer_has_the_same_shape_with_its_age_and_the_live_decision() -> None:
    ahead = Ahead(event_times={"origin": NOW - timedelta(hours=4), "flight_plan": None})
    answer = answer_cached(SERVING, "a", ahead, now=NOW)
    assert (answer.source, answer.prediction, answer.decision, answer.age_seconds) == ("cached", 0.7, True, 3 * 3600)
    assert answer.feature_ages == {"origin": 3600, "flight_plan": None}
    assert (answer.prediction_id, answer.missing) == ("e1/2013-03-01/a", ["delay_mean_2h"])


def test_an_entity_without_a_cached_prediction_says_what_to_do() -> None:
    with pytest.raises(UnknownName, match=r"No prediction for 'a' was precomputed under release 7\. Ask predict"):
        answer_cached(SERVING, "a", None, now=NOW)
