"""The models that may become challenger: a regularised linear one, and gradient-boosted trees."""

from typing import Unpack

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from esteira.calibration import Calibrated
from esteira.contract import Candidate, Range
from esteira.encoding import ColumnEncoder, DenseEncoder
from esteira.use_cases.flights.trees import Trees, in_xgboost


def logistic_regression(*, seed: int, threads: int, device: str, c: float) -> Pipeline:
    """A linear model on scaled numbers and one column a word; ``c`` is the inverse of the regularisation.

    It runs on one processor: threads and device are for other models.
    """
    model = LogisticRegression(C=c, max_iter=500, tol=1e-3, random_state=seed)
    return Pipeline([("encode", DenseEncoder()), ("model", model)])


def boosted_trees(*, calibration_share: float, **named: Unpack[Trees]) -> Pipeline:
    """Histogram-based XGBoost; missing values find their own way down each tree.

    With a ``calibration_share`` above 0 the newest share of the rows calibrates what the trees learned from the rest.
    """
    model = XGBClassifier(objective="binary:logistic", **in_xgboost(named))
    final = Calibrated(model, calibration_share) if calibration_share else model
    return Pipeline([("encode", ColumnEncoder()), ("model", final)])


CANDIDATES = (
    Candidate(
        name="logistic_regression",
        build=logistic_regression,
        parameters={"c": 0.01},
        search={"c": Range(low=1e-4, high=1.0, log=True)},
    ),
    Candidate(
        name="boosted_trees",
        build=boosted_trees,
        parameters={
            "trees": 300,
            "depth": 6,
            "learning_rate": 0.05,
            "row_share": 0.5,
            "column_share": 0.4,
            "smallest_leaf": 20.0,
            "bins": 64,
            # Calibrating on the newest rows made log-loss worse in each of five months tried (docs/decisions.md).
            "calibration_share": 0.0,
        },
        search={
            "trees": Range(low=100, high=600, whole=True),
            "depth": Range(low=3, high=9, whole=True),
            "learning_rate": Range(low=0.02, high=0.2, log=True),
            "row_share": Range(low=0.3, high=1.0),
            "column_share": Range(low=0.2, high=1.0),
            "smallest_leaf": Range(low=1.0, high=100.0, log=True),
            "calibration_share": (0.0, 0.1, 0.2),
        },
    ),
)
