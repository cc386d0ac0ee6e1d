"""Fit the declared candidates, choose one on the newest training rows, and measure it on the holdout.

The pipeline that is measured is the pipeline that is returned: nothing is refitted after the holdout was looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
from sklearn.pipeline import Pipeline

from esteira.calibration import uncalibrated
from esteira.contract import UseCase
from esteira.model_card import Column, Estimate, SliceQuality
from esteira.training.allowance import UNLIMITED, Allowance
from esteira.training.bootstrap import Floats
from esteira.training.evaluate import constant_prediction, evaluate, evaluate_slices, row_losses
from esteira.training.labels import OUTCOME
from esteira.training.leakage import require_no_leak
from esteira.training.learn import Where, days_of, feature_frame, fit_entrant, require_enough, score
from esteira.training.recipe import Entrant, declared
from esteira.training.select import select
from esteira.training.split import Split, split_training_set

_SHUFFLED_ROWS = 2_000


@dataclass(frozen=True)
class Fitted:
    """A challenger: the pipeline, why it was chosen, and how good it was found to be on rows it never saw."""

    pipeline: Pipeline
    entrant: Entrant
    selection: tuple[str, ...]
    split: Split
    training_rows: int
    holdout: pl.DataFrame
    """The held-out rows of the training set, in order."""
    predictions: Floats
    """One per held-out row, post-processed as the service does."""
    metrics: Mapping[str, Estimate]
    baseline_prediction: float
    """The best constant, learned from the training rows."""
    baseline: Mapping[str, float]
    slices: tuple[SliceQuality, ...]
    importances: Mapping[str, float]


def fit(
    use_case: UseCase,
    training_set: pl.DataFrame,
    columns: Sequence[Column],
    *,
    as_of: datetime,
    seed: int,
    threads: int,
    device: str,
    feature_times: Sequence[str] = (),
    entrants: Sequence[Entrant] | None = None,
    allowance: Allowance = UNLIMITED,
) -> Fitted:
    """Train a challenger from n labelled rows (features, ``event_timestamp``, ``outcome``, ``outcome_known_at``).

    ``entrants`` are the candidates with their parameters, by default all as declared.

    Raises:
        DataError, WrongColumns: the training set cannot be trusted (see ``require_no_leak``).
        NotEnoughData: too few rows, or one class only, to learn from or to judge on.
        OverBudget: the run has spent its ``allowance``.
    """
    require_no_leak(use_case, training_set, columns, as_of=as_of, feature_times=feature_times)
    split = split_training_set(use_case, training_set, as_of=as_of)
    train, holdout = training_set.filter(split.train), training_set.filter(split.holdout)
    require_enough(use_case, train, "train on")
    require_enough(use_case, holdout, "judge on")
    where = Where(seed=seed, threads=threads, device=device, allowance=allowance)
    chosen, selection = select(use_case, entrants or declared(use_case.candidates), train, columns, where)
    pipeline = fit_entrant(use_case, chosen, train, columns, where)
    frame, outcomes, days = feature_frame(holdout, columns), holdout[OUTCOME].to_numpy(), days_of(holdout)
    predictions = score(pipeline, frame, kind=use_case.kind, bounds=use_case.bounds)
    constant = constant_prediction(use_case.kind, train[OUTCOME].to_numpy())
    flat = evaluate(use_case.kind, outcomes, np.full(len(outcomes), constant), days, seed=seed)
    slices = {name: holdout[name].to_list() for name in use_case.slices}
    return Fitted(
        pipeline=pipeline,
        entrant=chosen,
        selection=(*selection, *_uninformative(train, columns)),
        split=split,
        training_rows=train.height,
        holdout=holdout,
        predictions=predictions,
        metrics=evaluate(use_case.kind, outcomes, predictions, days, seed=seed, threshold=use_case.threshold),
        baseline_prediction=constant,
        baseline={name: figure.value for name, figure in flat.items()},
        slices=evaluate_slices(use_case.kind, outcomes, predictions, days, slices, seed=seed),
        importances=_importances(pipeline, use_case, frame, outcomes, seed),
    )


def refit(
    use_case: UseCase,
    training_set: pl.DataFrame,
    columns: Sequence[Column],
    entrant: Entrant,
    *,
    as_of: datetime,
    where: Where,
) -> Pipeline:
    """Fit one candidate as ``fit`` does once it is chosen: the same rows and seed give the same bytes."""
    return fit_entrant(use_case, entrant, rows_to_learn_from(use_case, training_set, as_of=as_of), columns, where)


def rows_to_learn_from(use_case: UseCase, training_set: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """The rows of a training set that lie before the holdout: all that tuning may ever see."""
    return training_set.filter(split_training_set(use_case, training_set, as_of=as_of).train)


def _uninformative(train: pl.DataFrame, columns: Sequence[Column]) -> list[str]:
    flat = [column.name for column in columns if train[column.name].n_unique() < 2]
    return [f"In training these columns hold one value only, or none: {', '.join(flat)}."] if flat else []


def _importances(
    pipeline: Pipeline, use_case: UseCase, frame: pd.DataFrame, outcomes: Floats, seed: int
) -> dict[str, float]:
    """Each column's share: of the trees' total gain, or else of the loss added by shuffling the column's values."""
    names = [str(name) for name in frame.columns]
    if hasattr(uncalibrated(pipeline[-1]), "get_booster"):
        gains = uncalibrated(pipeline[-1]).get_booster().get_score(importance_type="total_gain")
        weights = {name: float(gains.get(f"f{place}", 0.0)) for place, name in enumerate(names)}
    else:
        generator = np.random.default_rng(seed)
        picked = generator.choice(len(frame), min(_SHUFFLED_ROWS, len(frame)), replace=False)
        some, known = frame.iloc[picked].reset_index(drop=True), outcomes[picked]

        def loss(rows: pd.DataFrame) -> float:
            predictions = score(pipeline, rows, kind=use_case.kind, bounds=use_case.bounds)
            return float(row_losses(use_case.kind, known, predictions).mean())

        unshuffled = loss(some)
        order = generator.permutation(len(some))
        weights = {
            name: max(0.0, loss(some.assign(**{name: some[name].to_numpy()[order]})) - unshuffled) for name in names
        }
    total = sum(weights.values())
    return {name: weight / total if total > 0 else 1 / len(names) for name, weight in weights.items()}
