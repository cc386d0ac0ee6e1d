import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from esteira.calibration import Calibrated, uncalibrated
from esteira.errors import InputError


def rows(count: int, *, stretch: float, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=(count, 1))
    return signal, (generator.uniform(size=count) < expit(stretch * signal[:, 0] + shift)).astype(int)


def test_it_learns_the_stretch_and_shift_that_newer_rows_show() -> None:
    older, newer = rows(20_000, stretch=1, shift=0, seed=1), rows(5_000, stretch=0.5, shift=-1, seed=2)
    signal, outcome = np.vstack([older[0], newer[0]]), np.concatenate([older[1], newer[1]])
    model = Calibrated(LogisticRegression(C=1e6), 0.2).fit(signal, outcome)
    assert model.slope_ == pytest.approx(0.5, abs=0.1)
    assert model.intercept_ == pytest.approx(-1, abs=0.1)
    later, came = rows(20_000, stretch=0.5, shift=-1, seed=3)
    said, plain = model.predict_proba(later)[:, 1], model.model_.predict_proba(later)[:, 1]
    assert abs(said.mean() - came.mean()) < 0.02 < abs(plain.mean() - came.mean())
    assert (model.predict(later) == (said >= 0.5)).all()


def test_the_model_inside_learns_from_the_older_rows_alone() -> None:
    signal, outcome = rows(1_000, stretch=1, shift=0, seed=1)
    model = Calibrated(LogisticRegression(), 0.25).fit(signal, outcome)
    alone = LogisticRegression().fit(signal[:750], outcome[:750])
    np.testing.assert_array_equal(uncalibrated(model).coef_, alone.coef_)
    assert uncalibrated(alone) is alone


def test_sure_answers_stay_probabilities() -> None:
    class Sure(LogisticRegression):  # type: ignore[misc]
        def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
            yes = (X[:, 0] > 0).astype(np.float32)
            return np.column_stack([1 - yes, yes])

    signal, outcome = rows(1_000, stretch=5, shift=0, seed=1)
    said = Calibrated(Sure(), 0.5).fit(signal, outcome).predict_proba(signal)
    assert ((said > 0) & (said < 1)).all()
    np.testing.assert_allclose(said.sum(axis=1), 1)


def test_one_class_among_the_newest_rows_is_refused() -> None:
    signal, outcome = rows(1_000, stretch=1, shift=0, seed=1)
    with pytest.raises(InputError, match="hold one class only"):
        Calibrated(LogisticRegression(), 0.1).fit(signal, np.where(np.arange(1_000) >= 900, 0, outcome))
