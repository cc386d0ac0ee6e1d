"""A small belt on the first real flights of 2013, for tests that serve: tables, features, models, releases."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from esteira import use_cases
from esteira.contract import EVENT, utc
from esteira.encoding import ColumnEncoder
from esteira.model_card import GOLDEN, ModelCard
from esteira.serving.predictor import Predictor
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.model_store import models
from esteira.stores.releases import ledger
from esteira.training import golden
from flows.steps import data

USE_CASE = use_cases.get("flight_delay")
REACHED = utc("2013-01-08T12:00:00Z")


def ingest() -> None:
    """Bring the first week of January into tables, features and the online store."""
    data.append_raw.fn(USE_CASE.name, REACHED)
    data.append_features.fn(USE_CASE.name, REACHED)
    data.apply_feature_repository.fn()
    data.write_online.fn(USE_CASE.name, REACHED)


def entities(asked: datetime = REACHED) -> pl.DataFrame:
    """Flights that are known and still to depart, as entity rows asked about then."""
    known = USE_CASE.build_entities(tables.read_known(USE_CASE.entity_reads, asked))
    ahead = known.filter((pl.col(EVENT) > asked) & (pl.col(EVENT) < asked + timedelta(hours=24)))
    return ahead.sort(USE_CASE.entity_id)


def question(row: dict[str, Any]) -> dict[str, Any]:
    """An entity row as a caller asks about it."""
    keys = ("flight_id", "carrier", "flight", "origin", "dest", "tailnum")
    times = ("scheduled_departure", "scheduled_arrival")
    moments = {name: datetime.fromtimestamp(row[name], tz=REACHED.tzinfo).isoformat() for name in times}
    return {**{name: row[name] for name in keys}, **moments}


def offline(card: ModelCard, rows: pl.DataFrame, count: int) -> list[float]:
    """What a stored model says in this process of the first ``count`` entities, from the same online store."""
    asked = rows.head(count).with_columns(pl.lit(int(REACHED.timestamp())).alias("predicted_at"))
    wanted = sorted({*USE_CASE.entity_keys, *USE_CASE.request_inputs})
    store = OnlineFeatures(features.open_store(), card.feature_service)
    found = store.read(asked.select(wanted).to_dict(as_series=False), REACHED)
    said: list[float] = (
        Predictor(card, models.load(card.use_case, card.version).pipeline).predict(found.values).tolist()
    )
    return said


def train(seed: int) -> ModelCard:
    """A stored model of the real feature columns; what it learned is noise, and differs from seed to seed."""
    columns = features.service_columns(USE_CASE.feature_service)
    random = np.random.default_rng(seed)
    words = np.array(["EWR", "JFK", "LGA"])
    frame = pd.DataFrame(
        {c.name: random.normal(size=400) if c.type == "number" else random.choice(words, 400) for c in columns}
    )
    model = XGBClassifier(n_estimators=300, max_depth=5, n_jobs=1, random_state=seed, subsample=0.5)
    pipeline = Pipeline([("encode", ColumnEncoder()), ("model", model)]).fit(frame, random.integers(0, 2, 400))
    known = USE_CASE.entity_values(tables.read_known(USE_CASE.entity_reads, REACHED))
    card = ModelCard(
        use_case=USE_CASE.name,
        version=models.name_version(pipeline, REACHED),
        kind="binary",
        purpose=USE_CASE.purpose,
        owner=USE_CASE.owner,
        candidate="xgboost",
        parameters={},
        selection=(),
        feature_service=USE_CASE.feature_service,
        columns=columns,
        entity_values=known,
        as_of=REACHED,
        trained_from=REACHED,
        trained_until=REACHED,
        training_rows=400,
        holdout_from=REACHED,
        holdout_until=REACHED,
        metrics={},
        baseline={},
        slices=(),
        importances={},
        threshold=0.5,
        bounds=(0.001, 0.999),
        data_versions={},
        code_commit="none",
        lock_sha256="none",
        seed=seed,
        cause="test",
        run_id="none",
    )
    held_out = pl.from_pandas(frame.head(100))
    return models.save(pipeline, card, {GOLDEN: golden.pick(USE_CASE, pipeline, held_out, columns)})


def proposal(card: ModelCard) -> ledger.Proposal:
    """A stored model as it would be released after whatever is live."""
    follows = ledger.live(card.use_case).id if ledger.is_released(card.use_case) else 0
    return ledger.Proposal(
        use_case=card.use_case,
        model_version=card.version,
        card_sha256=models.load(card.use_case, card.version).card_sha256,
        feature_service=card.feature_service,
        epoch=f"{card.version}-after-{follows}",
        threshold=card.threshold,
        bounds=card.bounds,
        actor="test",
        reason="test",
        evidence={"passed": True},
        released_at=REACHED,
    )


def release(card: ModelCard) -> ledger.Release:
    """Make a stored model live."""
    follows = ledger.live(card.use_case).id if ledger.is_released(card.use_case) else 0
    return ledger.append(proposal(card), follows=follows)
