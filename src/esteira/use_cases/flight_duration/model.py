"""The models that may become challenger: histogram boosting of two families, both aimed at the median."""

from typing import Unpack

from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from xgboost import XGBRegressor

from esteira.contract import Candidate, Range
from esteira.encoding import ColumnEncoder
from esteira.use_cases.flights.trees import Trees, in_xgboost


def histogram_boosting(
    *, seed: int, threads: int, device: str, trees: int, leaves: int, learning_rate: float, smallest_leaf: int
) -> Pipeline:
    """scikit-learn's own boosting on absolute error; it takes the processors it finds, on any device."""
    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=trees,
        max_leaf_nodes=leaves,
        learning_rate=learning_rate,
        min_samples_leaf=smallest_leaf,
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("encode", ColumnEncoder()), ("model", model)])


def boosted_trees(**named: Unpack[Trees]) -> Pipeline:
    """Histogram-based XGBoost on absolute error; missing values find their own way down each tree."""
    model = XGBRegressor(objective="reg:absoluteerror", **in_xgboost(named))
    return Pipeline([("encode", ColumnEncoder()), ("model", model)])


CANDIDATES = (
    Candidate(
        name="histogram_boosting",
        build=histogram_boosting,
        parameters={"trees": 200, "leaves": 31, "learning_rate": 0.1, "smallest_leaf": 40},
        search={
            "trees": Range(low=100, high=400, whole=True),
            "leaves": Range(low=15, high=127, log=True, whole=True),
            "learning_rate": Range(low=0.03, high=0.2, log=True),
            "smallest_leaf": Range(low=10, high=200, log=True, whole=True),
        },
    ),
    Candidate(
        name="boosted_trees",
        build=boosted_trees,
        parameters={
            "trees": 200, "depth": 6, "learning_rate": 0.08, "row_share": 0.5, "column_share": 0.6,
            "smallest_leaf": 20.0, "bins": 256,
        },
        search={
            "trees": Range(low=100, high=500, whole=True),
            "depth": Range(low=4, high=9, whole=True),
            "learning_rate": Range(low=0.03, high=0.2, log=True),
            "row_share": Range(low=0.3, high=1.0),
            "column_share": Range(low=0.3, high=1.0),
            "smallest_leaf": Range(low=1.0, high=100.0, log=True),
        },
    ),
)  # fmt: skip
