from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from esteira.calibration import Calibrated
from esteira.serving.predictor import Predictor
from esteira.serving.trees import row_predictor
from tests.serving.models import card, frame, xgboost_pipeline
from tests.serving.test_predictor import WIDE, values


def matrix(rows: int) -> np.ndarray:
    return np.asarray(xgboost_pipeline()[0].transform(frame(rows, seed=3)))


@pytest.mark.parametrize("rows", [1, 2, 500])
def test_the_answers_are_xgboosts_own_to_the_bit(rows: int) -> None:
    booster = xgboost_pipeline()[-1].get_booster()
    asked = matrix(rows)
    expected = booster.inplace_predict(asked, validate_features=False).astype(np.float64)
    assert row_predictor(booster)(asked).tobytes() == expected.tobytes()
    assert row_predictor(booster)(np.asfortranarray(asked)).tobytes() == expected.tobytes()


def test_threads_do_not_see_each_others_answers() -> None:
    predict, asked = row_predictor(xgboost_pipeline()[-1].get_booster()), matrix(200)
    alone = [predict(asked[place : place + 1])[0] for place in range(200)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda place: predict(asked[place : place + 1])[0], list(range(200)) * 5))
    assert together == alone * 5


def test_a_calibrated_model_answers_as_its_pipeline_does_and_accounts_for_its_trees() -> None:
    pipeline = xgboost_pipeline()
    calibrated = Calibrated(pipeline[-1])
    calibrated.model_, calibrated.slope_, calibrated.intercept_ = pipeline[-1], 0.8, -0.1
    pipeline.steps[-1] = ("model", calibrated)
    predictor = Predictor(card(), pipeline, WIDE)
    expected = pipeline.predict_proba(frame(200, seed=9))[:, 1]
    assert predictor.predict(values()).tobytes() == expected.astype(np.float64).tobytes()
    assert len(predictor.explain(values())) == 200
