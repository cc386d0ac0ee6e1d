"""A small real Feast repository for tests of online features: two views, one on-demand view, any online store."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
import redis
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float32, Float64, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from esteira.contract import MOMENT, utc
from esteira.stores.feature_store.online_features import fresh_store

# Feast's own, at every use of an on-demand view, and ibis' inside Feast's DuckDB store.
FEAST_WARNINGS = (
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
)
NOON = utc("2013-03-01T12:00")
CAR_SCHEMA = {
    "car": pl.Int64(),
    "speed": pl.Float64(),
    "grip": pl.Float32(),
    "trips": pl.Int64(),
    "name": pl.String(),
    "electric": pl.Boolean(),
    "serviced": MOMENT,
    "laps": pl.List(pl.Int64()),
    "event_timestamp": MOMENT,
    "created_timestamp": MOMENT,
}
ROAD_SCHEMA = {
    "car": pl.Int64(),
    "road": pl.String(),
    "wet": pl.Float64(),
    "event_timestamp": MOMENT,
    "created_timestamp": MOMENT,
}


def cars(*rows: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of the view ``cars``; what is not said is missing, created is five minutes after the event."""
    return _frame(rows, CAR_SCHEMA)


def roads(*rows: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of the view ``roads``, which has two keys."""
    return _frame(rows, ROAD_SCHEMA)


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def _frame(rows: tuple[Mapping[str, Any], ...], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    full = []
    for row in rows:
        event = row.get("event_timestamp", NOON)
        full.append({"event_timestamp": event, "created_timestamp": event + timedelta(minutes=5), **row})
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in full], schema=schema)


def online_config(kind: str, folder: Path) -> dict[str, Any]:
    """The online store's part of feature_store.yaml."""
    if kind == "sqlite":
        return {
            "type": "esteira.features.online_store.SqliteFreshOnlineStore",
            "path": str(folder / "online.db"),
        }
    return {
        "type": "esteira.features.online_store.RedisFreshOnlineStore",
        "connection_string": "localhost:6379,db=15",
    }


def need_redis() -> None:
    """Skip aloud without Redis on a laptop; in CI its absence is a failure."""
    try:
        redis.Redis(db=15, socket_connect_timeout=1).ping()
    except redis.ConnectionError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("Redis does not answer at localhost:6379: the Redis store was NOT tested")


def build(kind: str, folder: Path, history: pl.DataFrame | None = None, offline: str = "duckdb") -> FeatureStore:
    """Apply the repository in ``folder``; ``history`` is what the offline side of ``cars`` holds."""
    (cars() if history is None else history).write_parquet(folder / "cars.parquet")
    roads({"car": 1, "road": "A1", "wet": 0.5}).write_parquet(folder / "roads.parquet")
    config = RepoConfig(
        project=f"test_{uuid4().hex[:12]}",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": offline},
        online_store=online_config(kind, folder),
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    store.apply(definitions(folder))
    return store


def definitions(folder: Path) -> list[Any]:
    """Entities, views and the service ``drive``."""

    def source(name: str) -> FileSource:
        return FileSource(
            name=name,
            path=str(folder / f"{name}.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        )

    car = Entity(name="car", join_keys=["car"], value_type=ValueType.INT64)
    road = Entity(name="road", join_keys=["road"], value_type=ValueType.STRING)
    car_view = FeatureView(
        name="cars",
        entities=[car],
        ttl=timedelta(hours=2),
        schema=[
            Field(name="car", dtype=Int64),
            Field(name="speed", dtype=Float64),
            Field(name="grip", dtype=Float32),
            Field(name="trips", dtype=Int64),
            Field(name="name", dtype=String),
            Field(name="electric", dtype=Bool),
            Field(name="serviced", dtype=UnixTimestamp),
            Field(name="laps", dtype=Array(Int64)),
        ],
        source=source("cars"),
    )
    road_view = FeatureView(
        name="roads",
        entities=[car, road],
        ttl=timedelta(0),
        schema=[Field(name="car", dtype=Int64), Field(name="road", dtype=String), Field(name="wet", dtype=Float64)],
        source=source("roads"),
    )
    request = RequestSource(name="trip", schema=[Field(name="length_km", dtype=Float64)])

    @on_demand_feature_view(
        sources=[car_view, request],
        schema=[Field(name="minutes_needed", dtype=Float64), Field(name="is_long", dtype=Bool)],
        mode="python",
    )
    def trip_plan(inputs: dict[str, Any]) -> dict[str, Any]:
        pairs = list(zip(inputs["length_km"], inputs["speed"], strict=True))
        return {
            "minutes_needed": [None if None in pair or pair[1] == 0 else 60 * pair[0] / pair[1] for pair in pairs],
            "is_long": [None if length is None else length > 100 for length, _ in pairs],
        }

    service = FeatureService(
        name="drive", features=[car_view[["name", "speed", "trips", "electric", "serviced"]], trip_plan, road_view]
    )
    return [car, road, car_view, road_view, trip_plan, service]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    """A repository on each online store that keeps the freshness contract, for one module."""
    if request.param == "redis":
        need_redis()
    store = build(request.param, tmp_path_factory.mktemp("repository"))
    yield store
    store.teardown()


@pytest.fixture
def store(repository: FeatureStore) -> FeatureStore:
    """The same, with nothing in it."""
    online = fresh_store(repository)
    online.teardown(repository.config, repository.list_feature_views(), [])
    online.update(repository.config, [], repository.list_feature_views(), [], [], partial=False)
    return repository
