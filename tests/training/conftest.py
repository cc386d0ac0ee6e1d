"""A small use case with a known truth: the outcome follows from two of four columns, slowly drifting by day."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier, XGBRegressor

from esteira.contract import MOMENT, Candidate, MonitorLimits, RawTable, UseCase
from esteira.encoding import ColumnEncoder, DenseEncoder
from esteira.limits import GateLimits

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class NoSource:
    name = "none"
    tables: tuple[RawTable, ...] = ()

    def span(self) -> tuple[datetime, datetime]:
        return START, START

    def read(self, table: str, after: datetime, until: datetime) -> pl.DataFrame:
        raise NotImplementedError


def trees(*, seed: int, threads: int, device: str, **parameters: Any) -> Pipeline:
    model = XGBClassifier(random_state=seed, n_jobs=threads, device=device, **parameters)
    return Pipeline([("encode", ColumnEncoder()), ("model", model)])


def line(*, seed: int, threads: int, device: str, **parameters: Any) -> Pipeline:
    return Pipeline([("encode", DenseEncoder()), ("model", LogisticRegression(random_state=seed, **parameters))])


def regression_trees(*, seed: int, threads: int, device: str, **parameters: Any) -> Pipeline:
    model = XGBRegressor(random_state=seed, n_jobs=threads, device=device, **parameters)
    return Pipeline([("encode", ColumnEncoder()), ("model", model)])


def ridge(*, seed: int, threads: int, device: str, **parameters: Any) -> Pipeline:
    return Pipeline([("encode", DenseEncoder()), ("model", Ridge(random_state=seed, **parameters))])


def nothing(_frames: Mapping[str, pl.DataFrame]) -> Any:
    raise NotImplementedError


@pytest.fixture
def use_case() -> UseCase:
    return use_case_of_parcels()


def use_case_of_parcels() -> UseCase:
    return UseCase(
        name="late_parcel", purpose="Test.", owner="tests", kind="binary", source=NoSource(), feature_tables=(),
        feature_service="late_parcel_v1", entity_id="parcel", entity_keys=("parcel",), request_inputs=(),
        entity_reads=(), build_entities=nothing, outcome_reads=(), build_outcomes=nothing, entity_values=nothing,
        slices=("origin",), label_delay=DAY, horizon=DAY, holdout=10 * DAY,
        candidates=(
            Candidate(name="line", build=line, parameters={"C": 1.0}),
            Candidate(name="trees", build=trees, parameters={"n_estimators": 30, "max_depth": 3, "learning_rate": 0.2}),
        ),
        threshold=0.5, bounds=(0.01, 0.99),
        gate=GateLimits(margin=0.01, baseline_gain=0.01, slice_margin=0.02, minimum_rows=500, minimum_slice_rows=300),
        monitor=MonitorLimits(minimum_rows=100),
    )  # fmt: skip


@pytest.fixture
def regression_use_case(use_case: UseCase) -> UseCase:
    candidates = (
        Candidate(name="line", build=ridge),
        Candidate(name="trees", build=regression_trees, parameters={"n_estimators": 30, "max_depth": 3}),
    )
    return replace(use_case, kind="regression", candidates=candidates, bounds=(0.0, 1000.0))


@pytest.fixture
def parcels() -> Callable[..., pl.DataFrame]:
    return build_parcels


def build_parcels(days: int = 60, per_day: int = 100, *, kind: str = "binary", seed: int = 0) -> pl.DataFrame:
    """Labelled rows whose outcome depends on ``origin`` and, non-monotonically, on ``delay``."""
    generator = np.random.default_rng(seed)
    rows = days * per_day
    origin = generator.integers(0, 3, rows)
    delay = generator.normal(size=rows)
    level = np.repeat(generator.normal(0, 0.2, days), per_day)
    signal = 2 * (np.abs(delay) > 1) + 0.8 * (origin == 2) - 1.2 + level
    if kind == "binary":
        outcome = (generator.uniform(size=rows) < 1 / (1 + np.exp(-signal))).astype(float)
    else:
        outcome = 100 + 20 * signal + generator.normal(0, 5, rows)
    asked = [START + DAY * day + timedelta(minutes=each) for day in range(days) for each in range(per_day)]
    return pl.DataFrame(
        {
            "parcel": [f"p{each}" for each in range(rows)],
            "event_timestamp": pl.Series(asked, dtype=MOMENT),
            "outcome": outcome,
            "outcome_known_at": pl.Series([each + timedelta(hours=6) for each in asked], dtype=MOMENT),
            "origin": np.array(["EWR", "JFK", "LGA"])[origin],
            "delay": pl.Series(np.where(generator.uniform(size=rows) < 0.1, np.nan, delay), nan_to_null=True),
            "noise": generator.normal(size=rows),
            "constant": np.ones(rows),
        }
    )
