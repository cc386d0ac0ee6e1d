"""Refuse training sets that know what nobody could have known when the prediction was asked for."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl
from scipy import stats

from esteira.contract import EVENT, UseCase
from esteira.errors import DataError, WrongColumns
from esteira.model_card import Column
from esteira.training.bootstrap import Floats
from esteira.training.labels import OUTCOME, OUTCOME_KNOWN_AT

LOOKED_AT = 20_000
"""Rows, evenly spaced, in which a single column's relation to the outcome is measured."""
TOO_GOOD = 0.99
"""An AUC (or rank correlation) that no honest single column reaches."""


def require_no_leak(
    use_case: UseCase, training_set: pl.DataFrame, columns: Sequence[Column], *, as_of: datetime,
    feature_times: Sequence[str] = (),
) -> None:  # fmt: skip
    """Raise when a training set could not have existed at ``as_of``, or gives the outcome away.

    ``feature_times`` name columns of ``training_set`` that say when a feature value was true or known.

    Raises:
        WrongColumns: a declared column is absent.
        DataError: an outcome is missing, not 0 or 1 (binary), or was not known at ``as_of``; a row was asked for after
            its outcome was known; a feature is newer than its row; or a column gives the outcome away.
    """
    wanted = [EVENT, OUTCOME, OUTCOME_KNOWN_AT, *feature_times, *(column.name for column in columns)]
    absent = [name for name in wanted if name not in training_set.columns]
    if absent:
        raise WrongColumns(
            f"The training set of {use_case.name!r} lacks the columns {', '.join(absent)}. It has "
            f"{', '.join(training_set.columns)}. Build it with the train flow from the declared feature service."
        )
    rules = {
        "have no finite outcome": pl.col(OUTCOME).cast(pl.Float64).is_finite().fill_null(value=False).not_(),
        f"have an outcome that was not known by as_of {as_of.isoformat()}": (
            pl.col(OUTCOME_KNOWN_AT) > as_of
        ).fill_null(value=True),
        "were asked for when the outcome was known already": pl.col(EVENT) >= pl.col(OUTCOME_KNOWN_AT),
        **{f"hold a feature newer than the row ({name})": pl.col(name) > pl.col(EVENT) for name in feature_times},
    }
    if use_case.kind == "binary":
        rules["have an outcome other than 0 or 1"] = ~pl.col(OUTCOME).cast(pl.Float64).is_in([0.0, 1.0])
    counted = training_set.select(rule.sum().alias(name) for name, rule in rules.items()).row(0, named=True)
    broken = [f"{rows} rows {rule}" for rule, rows in counted.items() if rows]
    if broken:
        raise DataError(
            f"The training set of {use_case.name!r} cannot be trusted: {'; '.join(broken)}. Nothing was trained. "
            "Build it again by the point-in-time join, and check when the source says its records became known."
        )
    given_away = target_like(use_case.kind, training_set, columns)
    if given_away:
        raise DataError(
            f"The training set of {use_case.name!r} gives the outcome away: {'; '.join(given_away)}. Nothing was "
            "trained. Remove the column from the feature service, or mend the time at which its view becomes known."
        )


def target_like(kind: str, training_set: pl.DataFrame, columns: Sequence[Column]) -> list[str]:
    """One sentence for each column that all but is the outcome, with the evidence; empty when there is none."""
    looked_at = training_set.gather_every(max(1, training_set.height // LOOKED_AT))
    outcome = looked_at[OUTCOME].cast(pl.Float64).to_numpy()
    if len(outcome) < 50 or len(np.unique(outcome)) < 2:
        return []  # nothing can be told apart here; too few rows are refused elsewhere
    found = []
    for column in columns:
        values = looked_at[column.name]
        absent = values.is_null().to_numpy().astype(np.float64)
        for what, signal in (("is", _signal(values, outcome, column)), ("is missing or not", absent)):
            strength = _strength(kind, signal, outcome)
            if strength >= TOO_GOOD:
                measure = "an AUC" if kind == "binary" else "a rank correlation"
                found.append(f"what column {column.name!r} {what} alone reaches {measure} of {strength:.4f}")
                break
    return found


def _signal(values: pl.Series, outcome: Floats, column: Column) -> Floats:
    if column.type == "number":
        numbers = values.cast(pl.Float64).to_numpy()
        return np.where(np.isnan(numbers), -np.inf, numbers)
    # A word stands for the mean outcome of the other half of the rows that hold it, so rare words tell nothing.
    frame = pl.DataFrame({"word": values.cast(pl.String), "outcome": outcome, "half": np.arange(len(outcome)) % 2})
    means = frame.group_by("word", "half").agg(pl.col("outcome").mean().alias("mean"))
    other = frame.with_columns((1 - pl.col("half")).alias("half")).join(
        means, on=["word", "half"], how="left", nulls_equal=True, maintain_order="left"
    )
    return other["mean"].fill_null(float(outcome.mean())).to_numpy()


def _strength(kind: str, signal: Floats, outcome: Floats) -> float:
    ranks = stats.rankdata(signal)
    if np.ptp(ranks) == 0:
        return 0.0
    if kind == "binary":
        positives = outcome == 1
        count = int(positives.sum())
        area = (ranks[positives].sum() - count * (count + 1) / 2) / (count * (len(outcome) - count))
        return float(max(area, 1 - area))
    return float(abs(np.corrcoef(ranks, stats.rankdata(outcome))[0, 1]))
