"""The step that proves what serving saw is what the offline path gives for the same instants."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
from pydantic import Field

from esteira import use_cases
from esteira.contract import CREATED, EVENT, FeatureRows, UseCase
from esteira.errors import MissingData
from esteira.features.parity import compare, parity_frame
from esteira.model_card import Column, Frozen
from esteira.stores.answers import predictions
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.releases import ledger
from flows.steps.step import step

MOST_ROWS = 10_000
"""The newest logged predictions of the window are replayed, at most so many."""


class Skew(Frozen):
    """What a replay of logged requests through the offline path found."""

    rows: int
    values: int
    unexplained: int
    counts: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)
    """Cause -> column -> differing values."""
    sentences: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The finding in a few words."""
        differing = sum(sum(columns.values()) for columns in self.counts.values())
        if not differing:
            return f"all {self.values:,} served values equal offline"
        return f"{differing} of {self.values:,} served values differ offline, {self.unexplained} unexplained"


@step
def audit_skew(use_case: str, as_of: datetime) -> Skew:
    """Replay the newest window's logged predictions of the live release offline and compare every value."""
    declared = use_cases.get(use_case)
    service = ledger.live(use_case).feature_service
    logged = _newest_predictions(declared, service, as_of)
    if not logged.height:
        return Skew(rows=0, values=0, unexplained=0, sentences=("No prediction was logged in the window to compare.",))
    asked = _asked(declared, logged)
    served = OnlineFeatures(features.open_store(), service)
    columns = features.service_columns(service)
    replayed = features.build_training_set(service, asked)
    times = features.join_times(service, asked)
    views = sorted(served.ttls)
    ids, moments, horizons = (logged[name].to_list() for name in ("prediction_id", "as_of", "horizon"))
    found = compare(
        parity_frame(ids, moments, horizons, _logged_rows(logged, columns, views)),
        parity_frame(ids, moments, horizons, _replayed_rows(replayed, times, columns, views)),
        served.sources,
        ttls=served.ttls,
    )
    return Skew(
        rows=found.rows,
        values=found.values,
        unexplained=found.unexplained,
        counts=found.counts,
        sentences=found.sentences,
    )


def _newest_predictions(declared: UseCase, service: str, as_of: datetime) -> pl.DataFrame:
    try:
        served = predictions.read_predictions(declared.name, as_of - declared.monitor.window, as_of)
    except MissingData:  # nothing was ever asked
        return pl.DataFrame(schema=predictions.PREDICTIONS)
    return served.filter((pl.col("source") == "computed") & (pl.col("feature_service") == service)).tail(MOST_ROWS)


def _asked(declared: UseCase, logged: pl.DataFrame) -> pl.DataFrame:
    """The entity frame the logged requests stand for: keys and request inputs as they were sent, asked at as_of."""
    entities = pl.DataFrame([json.loads(each) for each in logged["inputs"]], infer_schema_length=None)
    wanted = dict.fromkeys((declared.entity_id, *declared.entity_keys, *declared.request_inputs))
    return entities.select(list(wanted)).with_columns(logged["as_of"].alias(EVENT))


def _logged_rows(logged: pl.DataFrame, columns: Sequence[Column], views: Sequence[str]) -> FeatureRows:
    values = [json.loads(each) for each in logged["features"]]
    return FeatureRows(
        values={name: [each.get(name) for each in values] for name in _names(columns)},
        event_times=_moments(logged["event_times"], views),
        created_times=_moments(logged["created_times"], views),
    )


def _replayed_rows(
    replayed: pl.DataFrame, times: pl.DataFrame, columns: Sequence[Column], views: Sequence[str]
) -> FeatureRows:
    return FeatureRows(
        values=replayed.select(_names(columns)).to_dict(as_series=False),
        event_times={view: times[f"{view}__{EVENT}"].to_list() for view in views},
        created_times={view: times[f"{view}__{CREATED}"].to_list() for view in views},
    )


def _names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]


def _moments(texts: pl.Series, views: Sequence[str]) -> dict[str, list[datetime | None]]:
    parsed = [json.loads(each) for each in texts]
    return {view: [datetime.fromisoformat(each[view]) if each.get(view) else None for each in parsed] for view in views}
