from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from esteira.errors import InvalidRequest, ModelError
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from tests.serving.models import calibrated_pipeline, card, frame, linear_pipeline, logistic_pipeline, xgboost_pipeline

PIPELINES = {"xgboost": xgboost_pipeline, "calibrated": calibrated_pipeline, "logistic": logistic_pipeline}
WIDE = PostProcessing(kind="binary", threshold=0.5, bounds=(0.0, 1.0))


def values(rows: int = 200) -> Mapping[str, list[Any]]:
    table = frame(rows, seed=9).astype(object)
    return {str(name): table[name].where(table[name].notna(), None).tolist() for name in table}


@pytest.mark.parametrize("candidate", PIPELINES)
def test_predictions_equal_the_pipelines_on_a_frame_bit_for_bit(candidate: str) -> None:
    pipeline = PIPELINES[candidate]()
    predicted = Predictor(card(), pipeline, WIDE).predict(values())
    expected = pipeline.predict_proba(frame(200, seed=9))[:, 1].astype(np.float64)
    assert predicted.tobytes() == expected.tobytes()


@pytest.mark.parametrize("candidate", PIPELINES)
def test_one_at_a_time_equals_all_at_once(candidate: str) -> None:
    predictor = Predictor(card(), PIPELINES[candidate](), WIDE)
    together = predictor.predict(values())
    alone = [
        predictor.predict({name: [column[row]] for name, column in values().items()})[0] for row in range(len(together))
    ]
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)


def test_the_order_of_the_given_columns_and_further_ones_do_not_matter() -> None:
    predictor = Predictor(card(), xgboost_pipeline())
    shuffled = {"unused": [None] * 200, **dict(reversed(values().items()))}
    assert predictor.predict(shuffled).tolist() == predictor.predict(values()).tolist()


def test_predictions_stay_within_the_bounds_of_the_release() -> None:
    narrow = PostProcessing(kind="binary", threshold=0.5, bounds=(0.3, 0.6))
    predicted = Predictor(card(), xgboost_pipeline(), narrow).predict(values())
    assert predicted.min() == 0.3
    assert predicted.max() == 0.6


def test_a_regression_predicts_its_estimate_within_the_bounds_on_the_card() -> None:
    predicted = Predictor(card(kind="regression", bounds=(10.0, 50.0)), linear_pipeline()).predict(values())
    assert predicted.min() >= 10
    assert predicted.max() <= 50


def test_an_absent_column_is_named() -> None:
    with pytest.raises(ModelError, match=r"needs the columns \['distance'\]"):
        Predictor(card(), xgboost_pipeline()).predict({name: c for name, c in values().items() if name != "distance"})


def test_an_unknown_airport_is_refused_with_the_known_ones_listed() -> None:
    predictor = Predictor(card(), xgboost_pipeline())
    predictor.require_known({"origin": ["JFK", None], "flight": [1, 2]})
    with pytest.raises(InvalidRequest, match=r"Unknown origin 'XXX'\. Known: EWR, JFK, LGA\."):
        predictor.require_known({"origin": ["JFK", "XXX"]})


@pytest.mark.parametrize("output", [float("nan"), 1.5, -0.1])
def test_an_output_that_is_no_probability_is_never_returned(output: float) -> None:
    pipeline = xgboost_pipeline()
    pipeline.steps[-1] = ("model", _Broken(output))
    with pytest.raises(ModelError, match="Expected a probability"):
        Predictor(card(), pipeline).predict(values())


def test_a_model_with_swapped_classes_is_refused_before_any_request() -> None:
    pipeline = logistic_pipeline()
    pipeline.steps[-1][1].classes_ = np.array([1, 0])
    with pytest.raises(ModelError, match=r"classes \[1.0, 0.0\]"):
        Predictor(card(), pipeline)


class _Broken:
    """A final estimator whose weights went bad."""

    classes_ = np.array([0, 1])

    def __init__(self, output: float) -> None:
        self.output = output

    def predict_proba(self, matrix: Any) -> Any:
        return np.full((len(matrix), 2), self.output)
