"""Steps that predict ahead with the live release."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from esteira import use_cases
from esteira.contract import EVENT, PREDICTED_AT, UseCase
from esteira.model_card import Frozen
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.stores.answers import cached
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.model_store import models
from esteira.stores.releases import ledger
from esteira.training.labels import upcoming
from flows.steps.step import step

PIECE = 20_000
"""Entities scored at once: memory is bounded by it, and what is killed goes on from the last whole piece."""
Tell = Callable[[int, int], None]
"""Is told how many of how many entities are done."""


class Precomputed(Frozen):
    """A batch of predictions made ahead."""

    use_case: str
    as_of: datetime
    release: int
    model_version: str
    entities: int
    mean_output: float | None


@step
def precompute_predictions(use_case: str, as_of: datetime, tell: Tell | None = None) -> Precomputed:
    """Score every entity known at ``as_of`` that will be asked for within the horizon, under the live release.

    A batch that was cut short is continued; one that is shown already, or is older than the one shown, is left alone.
    """
    declared = use_cases.get(use_case)
    release = ledger.live(use_case)
    model = models.load(use_case, release.model_version, card_sha256=release.card_sha256)
    predictor = Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, release))
    ahead = upcoming(declared, declared.build_entities(tables.read_known(declared.entity_reads, as_of)), as_of=as_of)
    batch = cached.Batch(use_case, release.epoch, as_of)
    if not batch.is_shown:
        for start in range(batch.written(), ahead.height, PIECE):
            piece = ahead.slice(start, PIECE)
            batch.write(score_ahead(declared, predictor, piece), after=start)
            if tell is not None:
                tell(start + piece.height, ahead.height)
        batch.show()
    return Precomputed(
        use_case=use_case,
        as_of=as_of,
        release=release.id,
        model_version=release.model_version,
        entities=ahead.height,
        mean_output=batch.mean(),
    )


def score_ahead(declared: UseCase, predictor: Predictor, entities: pl.DataFrame) -> pl.DataFrame:
    """Predict n entities from their features at their ``event_timestamp``; rows in the columns of ``cached.CACHED``."""
    service = predictor.card.feature_service
    return cached_rows(
        declared, predictor, features.build_training_set(service, entities), features.join_times(service, entities)
    )


def cached_rows(declared: UseCase, predictor: Predictor, joined: pl.DataFrame, times: pl.DataFrame) -> pl.DataFrame:
    """Predict n entities from their joined features and the times of those; rows in the columns of ``CACHED``."""
    values = joined.select(predictor.names)
    keys = [each for each in (*declared.entity_keys, *declared.request_inputs) if each != PREDICTED_AT]
    outputs: Sequence[float] = predictor.output(_columns(values)).tolist() if joined.height else []
    rows = joined.select(
        pl.col(declared.entity_id).cast(pl.String).alias("entity_id"),
        pl.Series("output", outputs, dtype=pl.Float64),
        pl.col(EVENT).alias("as_of"),
        pl.struct(keys).struct.json_encode().alias("given"),
    )
    return rows.with_columns(_feature_ages(times, rows["as_of"]), _missing(values)).select(list(cached.CACHED))


def _columns(values: pl.DataFrame) -> dict[str, Any]:
    """Numbers as arrays with NaN for missing, which encode fifty times as fast as lists; words as lists."""
    return {
        each.name: each.cast(pl.Float64).to_numpy() if each.dtype.is_numeric() else each.to_list() for each in values
    }


def _feature_ages(times: pl.DataFrame, as_of: pl.Series) -> pl.Series:
    suffix = f"__{EVENT}"
    views = [name.removesuffix(suffix) for name in times.columns if name.endswith(suffix)]
    ages = [((as_of - times[f"{view}{suffix}"]).dt.total_microseconds() / 1e6).alias(view) for view in views]
    return pl.DataFrame(ages).to_struct("feature_ages").struct.json_encode().alias("feature_ages")


def _missing(values: pl.DataFrame) -> pl.Series:
    names: Sequence[pl.Expr] = [
        pl.when(pl.col(name).is_null()).then(pl.lit(f'"{name}"')).otherwise(None) for name in values.columns
    ]
    listed = pl.concat_list(names).list.drop_nulls().list.join(", ")
    return values.select(pl.format("[{}]", listed).alias("missing"))["missing"]
