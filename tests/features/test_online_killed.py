"""A writer killed in the middle of a bulk write: readers see whole values, never older ones, and a rerun converges."""

import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from feast import FeatureStore

from esteira.features.online_store import FreshOnlineStore, online_view
from tests.features.online_repo import CAR_SCHEMA, FEAST_WARNINGS, NOON, at, build, cars, need_redis

pytestmark = [*FEAST_WARNINGS, pytest.mark.slow]
CARS = 20_000
KILLS = 15


def generation(number: int) -> pl.DataFrame:
    """All cars at one moment: a later generation is newer knowledge of every one of them."""
    event = NOON + timedelta(minutes=number)
    rows = pl.DataFrame({"car": range(CARS)}, schema={"car": pl.Int64()})
    return rows.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in CAR_SCHEMA.items() if name != "car"
    ).with_columns(
        speed=pl.lit(float(number)),
        trips=pl.lit(number, pl.Int64()),
        event_timestamp=pl.lit(event, CAR_SCHEMA["event_timestamp"]),
        created_timestamp=pl.lit(event, CAR_SCHEMA["created_timestamp"]),
    )


def online(store: FeatureStore) -> FreshOnlineStore:
    found = store._get_provider().online_store
    assert isinstance(found, FreshOnlineStore)
    return found


def write(store: FeatureStore, number: int) -> None:
    online(store).write_frame(store.config, store.get_feature_view("cars"), generation(number))


def generations_seen(store: FeatureStore) -> pl.Series:
    view = online_view(store.config, store.get_feature_view("cars"))
    rows = online(store).read_views(store.config, [(view, {"car": list(range(CARS))})], at(60))[0]
    speeds, trips = (rows.values[name] for name in ("speed", "trips"))
    assert [None if each is None else float(each) for each in trips] == speeds, "one row, one write"
    return pl.Series(trips)


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureStore]:
    if request.param == "redis":
        need_redis()
    built = build(request.param, tmp_path, cars())
    yield built
    built.teardown()


def test_a_killed_bulk_write_leaves_whole_values_and_a_rerun_converges(store: FeatureStore) -> None:
    write(store, 1)
    chance = random.Random(2013)
    is_whole = type(online(store)).__name__ == "SqliteFreshOnlineStore"
    interrupted = 0
    for number in range(2, 2 + KILLS):
        child = os.fork()
        if child == 0:  # a connection must not cross a fork, and does not: the store opens its own
            try:
                write(store, number)
            finally:
                os._exit(0)
        time.sleep(chance.uniform(0.0, 0.5))
        os.kill(child, signal.SIGKILL)
        interrupted += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        seen = generations_seen(store)
        assert set(seen.to_list()) <= {number - 1, number}, "neither lost nor older"
        if is_whole:
            assert seen.n_unique() == 1, "all of a view, or nothing"
        write(store, number)  # the flow runs again
        assert set(generations_seen(store).to_list()) == {number}
    assert interrupted > 0, "no write was caught in the middle"
