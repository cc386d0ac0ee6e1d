"""Fit the declared candidates, choose one on the newest training rows, and measure it on the holdout.

The pipeline that is measured is the pipeline that is returned: nothing is refitted after the holdout was looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.pipeline import Pipeline

from esteira.contract import EVENT, PRIMARY, UseCase
from esteira.errors import ModelError, NotEnoughData
from esteira.model_card import Column, Estimate, SliceQuality
from esteira.training.bootstrap import Floats
from esteira.training.evaluate import Kind, constant_prediction, evaluate, evaluate_slices, row_losses
from esteira.training.labels import OUTCOME
from esteira.training.leakage import require_no_leak
from esteira.training.recipe import Entrant, declared
from esteira.training.split import Split, split_by_time

FEWEST_ROWS = 200
FEWEST_OF_A_CLASS = 20
SELECTION_ROWS = 60_000
"""Candidates are compared after learning from at most this many rows, the newest: enough to rank them, and cheap."""
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
) -> Fitted:
    """Train a challenger from n labelled rows (features, ``event_timestamp``, ``outcome``, ``outcome_known_at``).

    ``entrants`` are the candidates with their parameters, by default all as declared.

    Raises:
        DataError, WrongColumns: the training set cannot be trusted (see ``require_no_leak``).
        NotEnoughData: too few rows, or one class only, to learn from or to judge on.
    """
    require_no_leak(use_case, training_set, columns, as_of=as_of, feature_times=feature_times)
    split = split_by_time(training_set[EVENT], holdout=use_case.holdout, gap=use_case.label_delay, as_of=as_of)
    train, holdout = training_set.filter(split.train), training_set.filter(split.holdout)
    _require_enough(use_case, train, "train on")
    _require_enough(use_case, holdout, "judge on")
    build = {"seed": seed, "threads": threads, "device": device}
    chosen, selection = _select(use_case, entrants or declared(use_case.candidates), train, columns, build)
    pipeline = fit_entrant(use_case, chosen, train, columns, build)
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


def _require_enough(use_case: UseCase, rows: pl.DataFrame, purpose: str) -> None:
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


def fit_entrant(
    use_case: UseCase, entrant: Entrant, rows: pl.DataFrame, columns: Sequence[Column], build: Mapping[str, Any]
) -> Pipeline:
    """Fit one candidate on ``rows``; ``build`` holds the run's seed, threads and device."""
    outcomes = rows[OUTCOME].to_numpy()
    pipeline = entrant.candidate.build(**build, **entrant.parameters)
    pipeline.fit(feature_frame(rows, columns), outcomes.astype(np.int64) if use_case.kind == "binary" else outcomes)
    return pipeline


def _select(
    use_case: UseCase,
    entrants: Sequence[Entrant],
    train: pl.DataFrame,
    columns: Sequence[Column],
    build: Mapping[str, Any],
) -> tuple[Entrant, list[str]]:
    if len(entrants) == 1:
        return entrants[0], [f"{entrants[0].name} is the only candidate that was asked for or declared."]
    inner = _inner_split(use_case, train)
    learned = train.filter(inner.train).sort(EVENT).tail(SELECTION_ROWS)
    newest = train.filter(inner.holdout)
    for rows, purpose in ((learned, "compare candidates on (older part)"), (newest, "compare candidates on")):
        _require_enough(use_case, rows, purpose)
    frame, outcomes = feature_frame(newest, columns), newest[OUTCOME].to_numpy()
    losses = {}
    for entrant in entrants:
        pipeline = fit_entrant(use_case, entrant, learned, columns, build)
        predictions = score(pipeline, frame, kind=use_case.kind, bounds=use_case.bounds)
        losses[entrant.name] = float(row_losses(use_case.kind, outcomes, predictions).mean())
    chosen = min(entrants, key=lambda entrant: losses[entrant.name])  # on a tie, the one declared first
    metric = PRIMARY[use_case.kind]
    return chosen, [
        f"{chosen.name} had the lowest {metric} of {len(losses)} candidates on the newest {newest.height} training "
        f"rows ({inner.holdout_from:%Y-%m-%d} to {inner.holdout_until:%Y-%m-%d}), each fitted on the "
        f"{learned.height} rows before.",
        *(f"{name}: {metric} {loss:.4f}." for name, loss in sorted(losses.items(), key=lambda item: item[1])),
    ]


def _inner_split(use_case: UseCase, train: pl.DataFrame) -> Split:
    """Split the training rows once more by time, the newest holdout's length (or a fifth, if they are short) apart."""
    times = train[EVENT]
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise NotEnoughData("There are no training rows to compare candidates on.")
    length = min(use_case.holdout, (last - first) / 5)
    gap = min(use_case.label_delay, length)
    return split_by_time(times, holdout=length, gap=gap, as_of=last + gap)


def _uninformative(train: pl.DataFrame, columns: Sequence[Column]) -> list[str]:
    flat = [column.name for column in columns if train[column.name].n_unique() < 2]
    return [f"In training these columns hold one value only, or none: {', '.join(flat)}."] if flat else []


def _importances(
    pipeline: Pipeline, use_case: UseCase, frame: pd.DataFrame, outcomes: Floats, seed: int
) -> dict[str, float]:
    """Each column's share: of the trees' total gain, or else of the loss added by shuffling the column's values."""
    names = [str(name) for name in frame.columns]
    if hasattr(pipeline[-1], "get_booster"):
        gains = pipeline[-1].get_booster().get_score(importance_type="total_gain")
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
