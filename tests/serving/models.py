"""Small real models for the tests of serving."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from esteira.calibration import Calibrated
from esteira.encoding import ColumnEncoder, DenseEncoder
from esteira.model_card import Column, ModelCard

COLUMNS = (
    Column(name="origin", type="category", view="flight_plan"),
    Column(name="distance", type="number", view="flight_plan"),
    Column(name="delay_mean_2h", type="number", view="origin"),
)


def frame(rows: int = 300, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "origin": random.choice(["EWR", "JFK", "LGA", None], rows),
            "distance": random.integers(100, 2500, rows),
            "delay_mean_2h": np.where(random.random(rows) < 0.2, np.nan, random.normal(5, 20, rows)),
        }
    )


def card(**changes: Any) -> ModelCard:
    moment = datetime(2013, 3, 1, tzinfo=UTC)
    facts: dict[str, Any] = {
        "use_case": "flight_delay",
        "version": "m1",
        "kind": "binary",
        "purpose": "p",
        "owner": "o",
        "candidate": "xgboost",
        "parameters": {},
        "selection": (),
        "feature_service": "flight_delay_v1",
        "columns": COLUMNS,
        "entity_values": {"origin": ("EWR", "JFK", "LGA")},
        "as_of": moment,
        "trained_from": moment,
        "trained_until": moment,
        "training_rows": 300,
        "holdout_from": moment,
        "holdout_until": moment,
        "metrics": {},
        "baseline": {},
        "slices": (),
        "importances": {},
        "threshold": 0.5,
        "bounds": (0.01, 0.99),
        "data_versions": {},
        "code_commit": "c",
        "lock_sha256": "l",
        "seed": 1,
        "cause": "test",
        "run_id": "r",
    }
    return ModelCard(**{**facts, **changes})


def xgboost_pipeline() -> Pipeline:
    model = XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1)
    return Pipeline([("encode", ColumnEncoder()), ("model", model)]).fit(frame(), _outcome())


def calibrated_pipeline() -> Pipeline:
    model = Calibrated(XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1))
    return Pipeline([("encode", ColumnEncoder()), ("model", model)]).fit(frame(), _outcome())


def logistic_pipeline() -> Pipeline:
    model = LogisticRegression(max_iter=500)
    return Pipeline([("encode", DenseEncoder()), ("model", model)]).fit(frame(), _outcome())


def linear_pipeline() -> Pipeline:
    return Pipeline([("encode", DenseEncoder()), ("model", LinearRegression())]).fit(frame(), _outcome() * 60.0)


def _outcome() -> Any:
    rows = frame()
    late = rows["delay_mean_2h"].fillna(0) + np.random.default_rng(2).normal(0, 10, len(rows)) > 8
    return late.astype(int).to_numpy()
