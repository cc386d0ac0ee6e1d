"""Give entities the outcomes that are known at a moment: the labels of a training set."""

from datetime import datetime

import polars as pl

from esteira.contract import CREATED, EVENT, PREDICTED_AT, UseCase
from esteira.errors import NotEnoughData

OUTCOME = "outcome"
OUTCOME_KNOWN_AT = "outcome_known_at"


def label_entities(
    use_case: UseCase, entities: pl.DataFrame, outcomes: pl.DataFrame, *, as_of: datetime
) -> pl.DataFrame:
    """Entities asked before ``as_of`` whose outcome was known by then, oldest first, with it and when it was known.

    Of several outcomes of one entity the one known last counts. Raises NotEnoughData when none is labelled.
    """
    known = (
        outcomes.filter(pl.col(CREATED) <= as_of)
        .sort(CREATED)
        .unique(use_case.entity_id, keep="last", maintain_order=True)
        .select(use_case.entity_id, OUTCOME, pl.col(CREATED).alias(OUTCOME_KNOWN_AT))
    )
    asked = entities.filter((pl.col(EVENT) <= as_of) & (pl.col(CREATED) <= pl.col(EVENT)))
    labelled = asked.join(known, on=use_case.entity_id, how="inner").sort(EVENT, use_case.entity_id)
    if not labelled.height:
        raise NotEnoughData(
            f"No labelled row of use case {use_case.name!r} is known at {as_of.isoformat()}: {asked.height} entities "
            f"were asked for, {known.height} outcomes are known. Ingest more data first."
        )
    return with_predicted_at(labelled)


def upcoming(use_case: UseCase, entities: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """Entities known at ``as_of`` that will be asked for within the horizon, asked now: event time is ``as_of``."""
    ahead = entities.filter(
        (pl.col(CREATED) <= as_of) & (pl.col(EVENT) > as_of) & (pl.col(EVENT) <= as_of + use_case.horizon)
    )
    moment = pl.lit(as_of).cast(entities.schema[EVENT])
    return with_predicted_at(ahead.with_columns(moment.alias(EVENT)).sort(use_case.entity_id))


def with_predicted_at(entities: pl.DataFrame) -> pl.DataFrame:
    """Entities with the asking moment also as whole unix seconds, which on-demand features may use."""
    return entities.with_columns(pl.col(EVENT).dt.epoch("s").alias(PREDICTED_AT))
