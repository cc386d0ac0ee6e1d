"""Online features beside Feast's own stores: 100 entities x 5 views x 10 features read, 100,000 entities written.

Run ``python -m benchmarks.online``. It prints a table and writes JSON to ``$ESTEIRA_HOME/benchmarks/online.json``.
All stores hold the same rows and take turns, so that a busy machine slows all alike. Redis is measured if it answers.
"""

import contextlib
import gc
import io
import json
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import redis
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64
from feast.value_type import ValueType
from rich.console import Console
from rich.table import Table

from esteira.contract import MOMENT
from esteira.features.online_store import reading_at
from esteira.settings import prepare_environment, settings
from esteira.stores.feature_store.online_features import OnlineFeatures, write_online

VIEWS, FEATURES, ASKED = 5, 10, 100
STORED = 10_000
"""Entities in the stores that are read."""
BULK = 100_000
FEAST_BULK = 5_000
"""Feast's materialisation is measured on fewer entities; the table gives entities per second."""
ROUNDS, CALLS, WARM = 10, 20, 3
"""Stores take turns; in a turn the first calls are not counted, they pay for what the store before left in caches."""
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
REDIS = "localhost:6379,db=15"
FRESH = "esteira.features.online_store"


def main() -> None:
    """Measure, print, write."""
    prepare_environment()
    warnings.filterwarnings("ignore", module="ibis")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as cleanup:
        stores = {}
        for name, online in _online_stores(Path(folder)).items():
            stores[name] = _build(Path(folder), name, online)
            cleanup.callback(stores[name].teardown)
        result = {
            "machine": {"system": platform.platform(), "python": platform.python_version()},
            "read": _measure_reads(stores),
            "write": _measure_writes(stores),
        }
    path = settings().home / "benchmarks" / "online.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    print(f"Written to {path}")


def _online_stores(folder: Path) -> dict[str, dict[str, Any]]:
    stores: dict[str, dict[str, Any]] = {
        "SQLite, Esteira": {"type": f"{FRESH}.SqliteFreshOnlineStore", "path": str(folder / "fresh.db")},
        "SQLite, Feast": {"type": "sqlite", "path": str(folder / "feast.db")},
    }
    try:
        redis.Redis(db=15, socket_connect_timeout=1).ping()
    except redis.ConnectionError:
        print("Redis does not answer at localhost:6379: only SQLite is measured.")
        return stores
    return stores | {
        "Redis, Esteira": {"type": f"{FRESH}.RedisFreshOnlineStore", "connection_string": REDIS},
        "Redis, Feast": {"type": "redis", "connection_string": REDIS},
    }


def _build(folder: Path, name: str, online: dict[str, Any]) -> FeatureStore:
    store = FeatureStore(
        config=RepoConfig(
            project=f"bench_{uuid4().hex[:8]}",
            provider="local",
            registry=str(folder / f"{name}.registry.db"),
            offline_store={"type": "duckdb"},
            online_store=online,
            entity_key_serialization_version=3,
        )
    )
    car = Entity(name="car", join_keys=["car"], value_type=ValueType.INT64)
    views = []
    for place in range(VIEWS):
        path = folder / f"view_{place}.parquet"
        _frame(FEAST_BULK, place).write_parquet(path)
        source = FileSource(
            path=str(path), timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"
        )
        fields = [Field(name=f"f{place}_{number}", dtype=Float64) for number in range(FEATURES)]
        schema = [Field(name="car", dtype=Int64), *fields]
        views.append(
            FeatureView(name=f"view_{place}", entities=[car], ttl=timedelta(days=2), schema=schema, source=source)
        )
    store.apply([car, *views, FeatureService(name="all", features=views)])
    return store


def _frame(entities: int, view: int, event: datetime = NOON) -> pl.DataFrame:
    return pl.select(car=pl.int_range(entities)).with_columns(
        *[(pl.col("car") * 0.37 + number).alias(f"f{view}_{number}") for number in range(FEATURES)],
        event_timestamp=pl.lit(event, MOMENT),
        created_timestamp=pl.lit(event + timedelta(minutes=1), MOMENT),
    )


def _fill(store: FeatureStore) -> None:
    for place in range(VIEWS):
        view = store.get_feature_view(f"view_{place}")
        frame = _frame(STORED, place)
        if _is_ours(store):
            write_online(store, view.name, frame)
        else:
            store.write_to_online_store(view.name, frame.to_pandas())


def _measure_reads(stores: dict[str, FeatureStore]) -> dict[str, dict[str, float]]:
    ids = [(place * 37) % STORED for place in range(ASKED)]
    as_of = NOON + timedelta(hours=1)
    readers: dict[str, Callable[[], Any]] = {}
    for name, store in stores.items():
        _fill(store)
        service = store.get_feature_service("all")

        def through_feast(store: FeatureStore = store, service: Any = service) -> Any:
            with reading_at(as_of):
                return store.get_online_features(features=service, entity_rows={"car": ids}).to_dict()

        readers[f"{name}: get_online_features"] = through_feast
        if _is_ours(store):
            features = OnlineFeatures(store, "all")

            def direct(features: OnlineFeatures = features) -> Any:
                return dict(features.read({"car": ids}, as_of).values)

            readers[f"{name}: OnlineFeatures.read"] = direct
    answers = [read() for read in readers.values()]
    for answer in answers:
        if answer["f4_9"] != answers[0]["f4_9"]:
            raise AssertionError("The stores do not answer alike: the figures would compare different work.")
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, read in readers.items():
            gc.collect()
            for call in range(WARM + CALLS):
                started = time.perf_counter()
                read()
                if call >= WARM:
                    taken[name].append((time.perf_counter() - started) * 1000)
    return {
        name: {
            "best_ms": round(min(each), 3),
            "p50_ms": round(statistics.median(each), 3),
            "p99_ms": round(statistics.quantiles(each, n=100)[98], 3),
        }
        for name, each in taken.items()
    }


def _measure_writes(stores: dict[str, FeatureStore]) -> dict[str, dict[str, float]]:
    found = {}
    for name, store in stores.items():
        if _is_ours(store):
            frame = _frame(BULK, 0, NOON + timedelta(hours=2))
            started = time.perf_counter()
            written = write_online(store, "view_0", frame)
            label = f"{name}: write_online"
        else:
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                store.materialize(NOON - timedelta(hours=1), NOON + timedelta(hours=1), ["view_1"])
            written = FEAST_BULK
            label = f"{name}: materialize"
        seconds = time.perf_counter() - started
        found[label] = {
            "entities": written,
            "seconds": round(seconds, 3),
            "entities_per_second": round(written / seconds),
        }
    return found


def _is_ours(store: FeatureStore) -> bool:
    return str(store.config.online_store.type).startswith(FRESH)


def _print(result: dict[str, Any]) -> None:
    console = Console()
    reads = Table(
        "read", "best ms", "p50 ms", "p99 ms", title=f"{ASKED} entities x {VIEWS} views x {FEATURES} features"
    )
    for name, row in result["read"].items():
        reads.add_row(name, f"{row['best_ms']:.2f}", f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}")
    writes = Table("write", "entities", "seconds", "per second", title=f"{FEATURES} features per entity")
    for name, row in result["write"].items():
        writes.add_row(name, f"{row['entities']:,}", f"{row['seconds']:.2f}", f"{row['entities_per_second']:,}")
    console.print(reads, writes)


if __name__ == "__main__":
    main()
