"""Golden rows: a few held-out rows with the model's answers, kept with it, by which any copy of it can be checked."""

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from sklearn.pipeline import Pipeline

from esteira.contract import UseCase
from esteira.model_card import Column, Frozen
from esteira.training.learn import feature_frame, score

ROWS = 32


class Golden(Frozen):
    """Feature values by column, missing is None, and the model's answer to each row, within its bounds."""

    values: dict[str, list[Any]]
    predictions: list[float]


class GoldenRequests(Frozen):
    """The golden data set of a use case: a few requests that every release must answer, fixed until a person renews it.

    Values of restricted columns are empty, and the entities they were about are not named: nobody can be forgotten.
    """

    use_case: str
    owner: str
    source: str
    """Where the requests are from, in words."""
    recorded_at: datetime
    """In the belt's time."""
    values: dict[str, list[Any]]
    """Column -> a value for each request, missing is None."""
    given: dict[str, list[Any]]
    """What post-processing may look at: entity keys and request inputs -> a value for each request."""

    @property
    def rows(self) -> int:
        """How many requests there are."""
        return len(next(iter(self.values.values()), []))

    @property
    def sha256(self) -> str:
        """The digest by which an edit is found."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def pick(
    use_case: UseCase,
    pipeline: Pipeline,
    holdout: pl.DataFrame,
    columns: Sequence[Column],
    *,
    hidden: Collection[str] = (),
) -> bytes:
    """Write down ``ROWS`` rows spread evenly over the holdout, in its order, and what the model answers to them.

    Columns that are ``hidden``, because their values are restricted, are left empty; the answers are to the empty ones.
    """
    places = np.unique(np.linspace(0, holdout.height - 1, min(ROWS, holdout.height)).astype(int))
    rows = holdout[places].select(
        (
            pl.col(column.name).cast(pl.Float64).fill_nan(None)
            if column.type == "number"
            else pl.col(column.name).cast(pl.String)
        )
        if column.name not in hidden
        else pl.lit(None, dtype=pl.Float64 if column.type == "number" else pl.String).alias(column.name)
        for column in columns
    )
    answers = score(pipeline, feature_frame(rows, columns), kind=use_case.kind, bounds=use_case.bounds)
    golden = Golden(values=rows.to_dict(as_series=False), predictions=answers.tolist())
    return json.dumps(golden.model_dump(), sort_keys=True).encode()
