"""Steps that predict ahead with the live release."""

import json
from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.contract import EVENT
from esteira.model_card import Frozen
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.stores import features, ledger, models, predictions, tables
from esteira.training.labels import upcoming
from flows.steps.step import step


class Precomputed(Frozen):
    """A batch of predictions made ahead."""

    use_case: str
    as_of: datetime
    release: int
    model_version: str
    entities: int
    mean_prediction: float | None


@step
def precompute_predictions(use_case: str, as_of: datetime) -> Precomputed:
    """Score every entity known at ``as_of`` that will be asked for within the horizon, under the live release."""
    declared = use_cases.get(use_case)
    release = ledger.live(use_case)
    model = models.load(use_case, release.model_version, card_sha256=release.card_sha256)
    ahead = upcoming(declared, declared.build_entities(tables.read_known(declared.entity_reads, as_of)), as_of=as_of)
    joined = features.build_training_set(release.feature_service, ahead)
    times = features.join_times(release.feature_service, ahead)
    rules = PostProcessing.of(model.card.kind, release)
    columns = [column.name for column in model.card.columns]
    values = joined.select(columns).to_dict(as_series=False)
    predicted = Predictor(model.card, model.pipeline, rules).predict(values).tolist() if joined.height else []
    batch = pl.DataFrame(
        {
            "entity_id": joined[declared.entity_id],
            "prediction": pl.Series(predicted, dtype=pl.Float64),
            "as_of": joined[EVENT],
            "computed_at": joined[EVENT],
            "event_times": _event_times(times),
            "missing": _missing(joined.select(columns)),
        },
        schema=predictions.CACHED,
    )
    predictions.write_cached(use_case, release.epoch, batch)
    return Precomputed(
        use_case=use_case,
        as_of=as_of,
        release=release.id,
        model_version=release.model_version,
        entities=batch.height,
        mean_prediction=float(batch["prediction"].mean()) if batch.height else None,  # type: ignore[arg-type]
    )


def _event_times(times: pl.DataFrame) -> list[str]:
    suffix = f"__{EVENT}"
    views = {name: name.removesuffix(suffix) for name in times.columns if name.endswith(suffix)}
    return [
        json.dumps({view: row[name].isoformat() if row[name] else None for name, view in views.items()})
        for row in times.iter_rows(named=True)
    ]


def _missing(values: pl.DataFrame) -> list[str]:
    return [
        json.dumps([name for name, value in zip(values.columns, row, strict=True) if value is None])
        for row in values.iter_rows()
    ]
