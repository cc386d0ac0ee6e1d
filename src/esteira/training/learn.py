"""Fit one candidate on rows and score rows with it: what selection, tuning and the final fit have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from esteira.contract import EVENT, UseCase
from esteira.errors import ModelError, NotEnoughData
from esteira.model_card import Column
from esteira.training.allowance import UNLIMITED, Allowance
from esteira.training.bootstrap import Floats
from esteira.training.evaluate import Kind
from esteira.training.labels import OUTCOME
from esteira.training.recipe import Entrant

FEWEST_ROWS = 200
FEWEST_OF_A_CLASS = 20


@dataclass(frozen=True)
class Where:
    """The seed, and where a candidate is trained: how many threads, on which device."""

    seed: int
    threads: int
    device: str
    allowance: Allowance = UNLIMITED
    """What the run may spend on all its fits together."""


def fit_entrant(
    use_case: UseCase, entrant: Entrant, rows: pl.DataFrame, columns: Sequence[Column], where: Where
) -> Pipeline:
    """Fit one candidate on ``rows``, in their order; the same rows and seed give the same model on any threads.

    Raises OverBudget when the run has spent its allowance.
    """
    where.allowance.require(f"the fit of {entrant.name}")
    outcomes = rows[OUTCOME].to_numpy()
    pipeline = entrant.candidate.build(
        seed=where.seed, threads=where.threads, device=where.device, **entrant.parameters
    )
    labels = outcomes.astype(np.int64) if use_case.kind == "binary" else outcomes
    # Linear algebra adds in another order on more threads; trees have their own threads and do not.
    with threadpool_limits(limits=1, user_api="blas"):
        pipeline.fit(feature_frame(rows, columns), labels)
    where.allowance.require(f"the end of the fit of {entrant.name}")
    return pipeline


def feature_frame(rows: pl.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The untransformed features of ``rows`` as the pandas frame a pipeline learns from: floats and text."""
    return pd.DataFrame(
        {
            column.name: rows[column.name].cast(pl.Float64).to_numpy()
            if column.type == "number"
            else pd.Series(rows[column.name].cast(pl.String).to_list(), dtype=object)
            for column in columns
        }
    )


def score(pipeline: Pipeline, frame: pd.DataFrame, *, kind: Kind, bounds: tuple[float, float]) -> Floats:
    """Predict n rows: P(yes), or the number, clipped to ``bounds`` as the service does; in float64.

    Raises ModelError when a prediction is not a number: clipping would hide it.
    """
    raw = pipeline.predict_proba(frame)[:, 1] if kind == "binary" else pipeline.predict(frame)
    predictions = np.asarray(raw, dtype=np.float64)
    if not np.isfinite(predictions).all():
        raise ModelError(
            f"{(~np.isfinite(predictions)).sum()} of {len(predictions)} predictions are not finite numbers. "
            "The model must not be released: look at its hyperparameters and its columns."
        )
    return np.clip(predictions, *bounds)


def days_of(rows: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The UTC day on which each row was asked for, counted from 1970."""
    return rows[EVENT].dt.date().cast(pl.Int32).cast(pl.Int64).to_numpy()


def require_enough(use_case: UseCase, rows: pl.DataFrame, purpose: str) -> None:
    """Raise NotEnoughData unless there are rows, and rows of both classes, to ``purpose``."""
    advice = "Ingest more data or choose a later as_of."
    if rows.height < FEWEST_ROWS:
        raise NotEnoughData(
            f"Use case {use_case.name!r} has {rows.height} rows to {purpose}; at least {FEWEST_ROWS} are needed. "
            f"{advice}"
        )
    if use_case.kind == "binary":
        yes = int(rows[OUTCOME].sum())
        if min(yes, rows.height - yes) < FEWEST_OF_A_CLASS:
            raise NotEnoughData(
                f"Use case {use_case.name!r} has {rows.height} rows to {purpose}, {yes} of them yes; at least "
                f"{FEWEST_OF_A_CLASS} of each class are needed. {advice}"
            )
