"""What serving is compared with: a profile of the rows a model learned from, and the thresholds of drift on it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from esteira.contract import EVENT
from esteira.model_card import REFERENCE, THRESHOLDS, Column
from esteira.monitoring.drift import PREDICTION, calibrate
from esteira.monitoring.profile import build_profile, merge, read_profile


def build_reference(
    rows: pl.DataFrame,
    columns: Sequence[Column],
    *,
    holdout: pl.DataFrame,
    predictions: np.ndarray,
    window: timedelta,
    window_rows: int,
    importances: Mapping[str, float],
    seed: int,
) -> dict[str, bytes]:
    """Profile what a model learned from, and calibrate drift thresholds on it, by the names they have in a model.

    Predictions are profiled on the holdout alone: on rows it learned from, a model is surer than it will ever be again.

    Args:
        rows: (n rows) the training set, with every one of ``columns`` and event times.
        holdout: (m rows) the newest of them, kept from the fit.
        predictions: (m,) the model's, for ``holdout``.
        window: how much time a monitored window spans; at least a day is assumed.
        window_rows: the fewest rows that are judged.
    """
    prediction = (Column(name=PREDICTION, type="number", view=PREDICTION),)
    predicted = holdout.select(EVENT).with_columns(pl.Series(PREDICTION, predictions))
    parts = [
        (profiled, build_profile(frame, profiled), frame)
        for profiled, frame in ((tuple(columns), rows), (prediction, predicted))
    ]
    found = [
        calibrate(
            read_profile(profile), frame, profiled,
            days=frame[EVENT].dt.date(), window_rows=window_rows, window_days=max(1, window.days),
            importances=importances, seed=seed,
        )
        for profiled, profile, frame in parts
    ]  # fmt: skip
    thresholds = found[0].model_copy(update={"columns": {**found[0].columns, **found[1].columns}})
    return {
        REFERENCE: merge([profile for _, profile, _ in parts]),
        THRESHOLDS: thresholds.model_dump_json().encode(),
    }
