"""Golden rows: a few held-out rows with the model's answers, kept with it, by which any copy of it can be checked."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from esteira.model_card import Column, Frozen
from esteira.training.bootstrap import Floats

ROWS = 32


class Golden(Frozen):
    """Feature values by column, missing is None, and one prediction a row, post-processed as the service does."""

    values: dict[str, list[Any]]
    predictions: list[float]


def pick(holdout: pl.DataFrame, predictions: Floats, columns: Sequence[Column]) -> bytes:
    """Write down ``ROWS`` rows spread evenly over the holdout, in its order, with their predictions."""
    places = np.unique(np.linspace(0, holdout.height - 1, min(ROWS, holdout.height)).astype(int))
    rows = holdout[places].select(
        pl.col(column.name).cast(pl.Float64).fill_nan(None)
        if column.type == "number"
        else pl.col(column.name).cast(pl.String)
        for column in columns
    )
    golden = Golden(values=rows.to_dict(as_series=False), predictions=predictions[places].tolist())
    return json.dumps(golden.model_dump(), sort_keys=True).encode()
