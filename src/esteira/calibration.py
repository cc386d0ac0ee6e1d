"""Correct a classifier's probabilities by what came true on newer rows than it learned from: a last, optional step."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression

from esteira.errors import InputError

_SURE = 1e-7
"""A float32 probability nearer to 0 or 1 than this has no finite odds."""


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A binary classifier whose log-odds are stretched and shifted by two numbers learned on the newest rows.

    ``fit`` takes rows in order of time: ``model`` learns from the older ones, the two numbers from the newest
    ``newest_share`` of them (Platt, "Probabilistic Outputs for Support Vector Machines", 1999). The numbers alone are
    added to what is saved, and one multiplication to what is served.
    """

    model_: Any
    slope_: float
    intercept_: float

    def __init__(self, model: Any, newest_share: float = 0.2) -> None:
        self.model = model
        self.newest_share = newest_share

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Learn from n rows in order of time. Raises InputError when the newest rows are of one class only."""
        outcomes = np.asarray(y)
        cut = round(len(outcomes) * (1 - self.newest_share))
        if len(np.unique(outcomes[cut:])) < 2:
            raise InputError(
                f"The newest {self.newest_share:.0%} of {len(outcomes)} rows hold one class only, so probabilities "
                "cannot be calibrated on them. Take a larger share, or train without calibration."
            )
        self.model_ = clone(self.model).fit(X[:cut], outcomes[:cut])
        odds = _log_odds(self.model_.predict_proba(X[cut:])[:, 1])
        line = LogisticRegression(C=1e6).fit(odds[:, None], outcomes[cut:])
        self.slope_, self.intercept_ = float(line.coef_[0, 0]), float(line.intercept_[0])
        return self

    @property
    def classes_(self) -> Any:
        """The classes, as the model knows them."""
        return self.model_.classes_

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The calibrated probabilities (n, 2) of no and yes."""
        yes = self.calibrate(self.model_.predict_proba(X)[:, 1])
        return np.column_stack([1 - yes, yes])

    def calibrate(self, yes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """What the model's probabilities (n) of yes are worth."""
        return np.asarray(1 / (1 + np.exp(-(self.slope_ * _log_odds(yes) + self.intercept_))))

    def predict(self, X: Any) -> Any:  # noqa: N803
        """The likelier class of each row (n)."""
        return self.classes_[(self.predict_proba(X)[:, 1] >= 0.5).astype(int)]


def uncalibrated(estimator: Any) -> Any:
    """The model inside a calibrated one; any other estimator as it is."""
    return estimator.model_ if isinstance(estimator, Calibrated) else estimator


def _log_odds(yes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    chance = np.clip(np.asarray(yes, dtype=np.float64), _SURE, 1 - _SURE)
    return np.asarray(np.log(chance) - np.log1p(-chance))
