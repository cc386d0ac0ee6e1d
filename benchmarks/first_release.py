"""A belt for benchmarks that serve: two months of flights ingested, and a first model of them released unjudged."""

from datetime import datetime

import polars as pl

from esteira.contract import EVENT, UseCase, utc
from esteira.stores.data import tables
from esteira.stores.model_store import models
from esteira.stores.releases import ledger
from flows.steps import data, training

NAME = "flight_delay"
START = utc("2013-03-01T05:00:00Z")


def release_first() -> ledger.Release:
    """Ingest until ``START``, train, and make the model live."""
    ingest(START)
    training_set = training.build_training_set.fn(NAME, START)
    version = training.train_challenger.fn(NAME, START, training_set, "A benchmark.", None)
    model = models.load(NAME, version)
    card = model.card
    return ledger.append(
        ledger.Proposal(
            use_case=NAME, model_version=version, card_sha256=model.card_sha256, feature_service=card.feature_service,
            epoch=version, threshold=card.threshold, bounds=card.bounds, rules=card.rules, actor="benchmark",
            evidence={"passed": True, "sentences": ["Not judged: the benchmark needs a release, not a good one."]},
            reason=card.cause, released_at=START,
        ),
        follows=0,
    )  # fmt: skip


def ingest(moment: datetime) -> None:
    """Bring everything up to ``moment`` into tables, features and the online store."""
    for step in (data.append_raw, data.append_features):
        step.fn(NAME, moment)
    data.apply_feature_repository.fn()
    data.write_online.fn(NAME, moment)


def questions(declared: UseCase, moment: datetime, most: int) -> pl.DataFrame:
    """The next flights to be asked about, at most so many, as they are known."""
    entities = declared.build_entities(tables.read_known(declared.entity_reads, moment))
    return entities.filter(pl.col(EVENT) > moment).sort(EVENT).head(most)
