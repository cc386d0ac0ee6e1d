"""Settle what reports of outcomes are about, and which of several counts."""

import polars as pl

from esteira.contract import CREATED, EVENT

COUNTED, SUPERSEDED, UNKNOWN, EARLY = "counted", "superseded", "unknown", "early"
"""What became of a report: it counts; a later or surer one does; nobody knows its prediction (yet); it says that the
outcome came about before the prediction was made, so it is not of that prediction."""


def settle(reports: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Give each distinct report the entity it is about and a ``status``; nothing that was reported is lost.

    Of an entity's reports the one known last counts, of those the surest, of those the one that happened last. The
    same report twice is one.

    Args:
        reports: prediction_id, entity_id (one of them null), ``outcome``, the two timestamps, source, confidence.
        predictions: prediction_id, entity_id, ``as_of``; an id may stand there more than once.

    Returns:
        The reports with ``entity_id`` filled where it is known, and ``status``.
    """
    asked = predictions.select("prediction_id", found=pl.col("entity_id"), asked_at="as_of").unique(
        "prediction_id", keep="first", maintain_order=True
    )
    order = [CREATED, "confidence", EVENT, "source", "outcome"]
    known = (
        reports.unique(maintain_order=True)
        .join(asked, on="prediction_id", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("entity_id", "found").alias("entity_id"),
            status=pl.when(pl.col("entity_id").is_null() & pl.col("found").is_null())
            .then(pl.lit(UNKNOWN))
            .when(pl.col(EVENT) < pl.col("asked_at"))
            .then(pl.lit(EARLY)),
        )
        .drop("found", "asked_at")
        .sort(order, maintain_order=True)
        .with_row_index("place")
    )
    last = known.filter(pl.col("status").is_null()).group_by("entity_id").agg(pl.col("place").last())["place"]
    counts = pl.when(pl.col("place").is_in(last.implode())).then(pl.lit(COUNTED)).otherwise(pl.lit(SUPERSEDED))
    return known.with_columns(status=pl.coalesce("status", counts)).drop("place")
