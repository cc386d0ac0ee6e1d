from typing import Any

import numpy as np
import pytest

from esteira.errors import InvalidRequest
from esteira.serving.predictor import Predictor
from tests.serving.models import card, frame, linear_pipeline, logistic_pipeline, xgboost_pipeline
from tests.serving.test_predictor import values

PIPELINES = {"xgboost": xgboost_pipeline, "logistic": logistic_pipeline, "linear": linear_pipeline}


def total(explained: Any) -> float:
    return explained.base + sum(each.contribution for each in explained.contributions) + explained.rest


@pytest.mark.parametrize("candidate", PIPELINES)
def test_base_and_contributions_add_up_to_what_the_model_says(candidate: str) -> None:
    pipeline = PIPELINES[candidate]()
    kind = "regression" if candidate == "linear" else "binary"
    predictor = Predictor(card(kind=kind, bounds=(0.0, 1.0)), pipeline)
    outputs = predictor.output(values(50))
    explained = predictor.explain(values(50))
    said = outputs if kind == "regression" else np.log(outputs / (1 - outputs))
    np.testing.assert_allclose([total(each) for each in explained], said, atol=2e-4)
    assert {each.unit for each in explained} == {"the outcome's unit" if kind == "regression" else "log-odds"}


@pytest.mark.parametrize("candidate", PIPELINES)
def test_each_feature_is_named_once_with_its_value_largest_first(candidate: str) -> None:
    predictor = Predictor(card(kind="regression" if candidate == "linear" else "binary"), PIPELINES[candidate]())
    asked = values(20)
    for place, explained in enumerate(predictor.explain(asked)):
        named = {each.feature: each.value for each in explained.contributions}
        assert named == {name: column[place] for name, column in asked.items()}
        sizes = [abs(each.contribution) for each in explained.contributions]
        assert sizes == sorted(sizes, reverse=True)


def test_the_words_name_what_raised_and_what_lowered_most() -> None:
    late = {"origin": ["JFK"], "distance": [500.0], "delay_mean_2h": [60.0]}
    explained = Predictor(card(), xgboost_pipeline()).explain(late)[0]
    assert explained.words.startswith("Raised by delay_mean_2h = 60 (+")
    assert explained.words.endswith("(in log-odds).")
    missing = Predictor(card(), xgboost_pipeline()).explain({**late, "delay_mean_2h": [None]})[0]
    assert "delay_mean_2h = missing" in missing.words


def test_a_model_that_cannot_account_for_itself_says_so() -> None:
    pipeline = xgboost_pipeline()

    class Opaque:
        classes_ = np.array([0, 1])

    pipeline.steps[-1] = ("model", Opaque())
    with pytest.raises(InvalidRequest, match="a Opaque, cannot say"):
        Predictor(card(), pipeline).explain({name: frame(1)[name].tolist() for name in frame(1)})
