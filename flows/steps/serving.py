"""Steps that predict ahead with the live release."""

from collections.abc import Callable
from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.contract import UseCase
from esteira.model_card import Frozen
from esteira.serving.ahead import predict_ahead
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
    """Predict n entities from their features at their ``event_timestamp`` (serving/ahead.py)."""
    service = predictor.card.feature_service
    return predict_ahead(
        declared, predictor, features.build_training_set(service, entities), features.join_times(service, entities)
    )
