"""Predictions meet their outcomes, whenever those arrive, and are judged once they should have."""

from datetime import datetime, timedelta

import polars as pl

from esteira.contract import CREATED, EVENT
from esteira.errors import WrongColumns

KNOWN, PENDING, YOUNG, BELATED = "known", "pending", "young", "belated"
"""What an outcome's status says: judged; expected but not there; not expected yet; the prediction came after it."""


def join_outcomes(
    predictions: pl.DataFrame, outcomes: pl.DataFrame, *, as_of: datetime, maturity: timedelta
) -> pl.DataFrame:
    """Give each prediction known at ``as_of`` the outcome of its entity that was newest then.

    A correction supersedes: of an entity's outcomes with ``created_timestamp`` at or before ``as_of``, the one known
    last counts, of those the one that happened last. A prediction logged twice counts once, as first asked for.

    Args:
        predictions: prediction_id, entity_id, ``as_of`` (the moment it was made), and whatever else the log holds.
        outcomes: entity_id, ``outcome``, ``event_timestamp``, ``created_timestamp``, in any order, with repetitions.
        as_of: nothing that became known later is used.
        maturity: how long after a prediction its outcome is expected.

    Returns:
        One row per prediction: its columns, ``outcome`` (null unless known), ``outcome_known_at`` and ``status``:
        *known*; *pending* (expected, not there: counts against coverage); *young* (not expected yet: not judged even
        when its outcome is there already, because quick outcomes are not like slow ones); *belated* (the prediction
        was made after the event, so it proves nothing).

    Raises:
        WrongColumns: a needed column is absent.
    """
    _require(predictions, "predictions", ("prediction_id", "entity_id", "as_of"))
    _require(outcomes, "outcomes", ("entity_id", "outcome", EVENT, CREATED))
    newest = (
        outcomes.lazy()
        .filter(pl.col(CREATED) <= as_of, pl.col("outcome").is_not_null(), pl.col("outcome").is_not_nan())
        .sort(CREATED, EVENT, "outcome")
        .group_by("entity_id", maintain_order=True)
        .last()
        .select(
            "entity_id", pl.col("outcome").cast(pl.Float64), happened=pl.col(EVENT), outcome_known_at=pl.col(CREATED)
        )
    )
    asked = (
        predictions.lazy()
        .filter(pl.col("as_of") <= as_of)
        .sort("as_of", "prediction_id")
        .unique("prediction_id", keep="first", maintain_order=True)
    )
    status = (
        pl.when(pl.col("happened") < pl.col("as_of"))
        .then(pl.lit(BELATED))
        .when(pl.col("as_of") + maturity > as_of)
        .then(pl.lit(YOUNG))
        .when(pl.col("outcome").is_null())
        .then(pl.lit(PENDING))
        .otherwise(pl.lit(KNOWN))
    )
    return (
        asked.join(newest, on="entity_id", how="left", maintain_order="left")
        .with_columns(status=status)
        .with_columns(pl.when(pl.col("status") == KNOWN).then(pl.col("outcome", "outcome_known_at")))
        .drop("happened")
        .collect()
    )


def _require(frame: pl.DataFrame, kind: str, names: tuple[str, ...]) -> None:
    if absent := [name for name in names if name not in frame.columns]:
        raise WrongColumns(
            f"Cannot join {kind} without {', '.join(absent)}. Expected {', '.join(names)}; the frame has "
            f"{', '.join(frame.columns)}."
        )
