import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import redis
from feast import FeatureStore

from esteira.errors import FeatureError, InputError, InvalidRequest, WrongColumns
from esteira.features.online_redis import parse_connection
from esteira.features.online_store import (
    FreshOnlineStore,
    SqliteFreshOnlineStore,
    ViewRows,
    online_view,
    reading_at,
)
from tests.features.online_repo import (
    CAR_SCHEMA,
    FEAST_WARNINGS,
    NOON,
    at,
    build,
    cars,
    definitions,
    online_config,
    repository,
    roads,
    store,
)

__all__ = ["repository", "store"]  # fixtures
pytestmark = [*FEAST_WARNINGS]
ASKED = ["cars:speed", "cars:name"]


def fresh(store: FeatureStore) -> FreshOnlineStore:
    online = store._get_provider().online_store
    assert isinstance(online, FreshOnlineStore)
    return online


def write(store: FeatureStore, frame: pl.DataFrame, view: str = "cars") -> int:
    return fresh(store).write_frame(store.config, store.get_feature_view(view), frame)


def read(store: FeatureStore, as_of: Any, *ids: int | None, view: str = "cars", **keys: list[Any]) -> ViewRows:
    target = online_view(store.config, store.get_feature_view(view))
    return fresh(store).read_views(store.config, [(target, {"car": list(ids), **keys})], as_of)[0]


def test_the_newest_event_stays_whatever_the_order_of_ten_thousand_writes(store: FeatureStore) -> None:
    order = random.Random(2013)
    orders = [order.sample(range(6), 6) for _ in range(10_000)]
    # Version v: its event in minute v // 2, so pairs share an event and differ in when they became known.
    for turn in range(6):
        frame = pl.DataFrame({"car": range(10_000), "trips": [each[turn] for each in orders]})
        event = pl.lit(NOON) + pl.duration(minutes=pl.col("trips") // 2)
        frame = frame.with_columns(
            *[pl.lit(None, kind).alias(name) for name, kind in CAR_SCHEMA.items() if name not in ("car", "trips")]
        ).with_columns(event_timestamp=event, created_timestamp=event + pl.duration(seconds=pl.col("trips") % 2))
        write(store, frame)
    found = read(store, at(60), *range(10_000))
    assert found.values["trips"] == [5] * 10_000
    assert found.event_times == [at(2)] * 10_000


def test_feasts_own_writes_keep_the_newest_event_too(store: FeatureStore) -> None:
    newer = cars({"car": 1, "speed": 2.5, "event_timestamp": at(1)})
    older = cars({"car": 1, "speed": 1.0, "event_timestamp": at(0)})
    for frame in (newer, older):
        store.write_to_online_store("cars", frame.to_pandas())
    assert read(store, at(60), 1).values["speed"] == [2.5]


def test_a_correction_of_the_same_event_known_later_replaces_it(store: FeatureStore) -> None:
    correction = {"car": 1, "speed": 99.0, "created_timestamp": at(10)}
    assert write(store, cars({"car": 1, "speed": 1.0}, correction)) == 1
    assert write(store, cars({"car": 1, "speed": 1.0})) == 0
    assert read(store, at(20), 1).values["speed"] == [99.0]
    assert read(store, at(20), 1).created_times == [at(10)]


def test_an_update_without_values_replaces_all_values(store: FeatureStore) -> None:
    write(store, cars({"car": 1, "speed": 1.0, "name": "Aston", "laps": [1, 2]}))
    write(store, cars({"car": 1, "event_timestamp": at(1)}))
    found = read(store, at(20), 1)
    assert [found.values[name] for name in ("speed", "name", "laps")] == [[None], [None], [None]]
    assert found.event_times == [at(1)]


@pytest.mark.parametrize(
    ("as_of", "shown"),
    [
        (at(5) - timedelta(microseconds=1), False),  # not yet known
        (at(5), True),
        (at(120), True),  # the edge of the ttl belongs to it, as offline
        (at(120) + timedelta(microseconds=1), False),
        (at(-1), False),  # in the future
    ],
)
def test_a_value_shows_from_when_it_was_known_until_its_ttl(store: FeatureStore, as_of: Any, shown: bool) -> None:
    write(store, cars({"car": 1, "speed": 3.0}))
    found = read(store, as_of, 1)
    assert found.values["speed"] == ([3.0] if shown else [None])
    assert found.event_times == ([NOON] if shown else [None])
    with reading_at(as_of):
        answer = store.get_online_features(features=ASKED, entity_rows=[{"car": 1}]).to_dict()
    assert answer["speed"] == ([3.0] if shown else [None])


def test_a_future_event_hides_the_value_it_replaced_rather_than_showing_a_stale_one(store: FeatureStore) -> None:
    write(store, cars({"car": 1, "speed": 3.0}, {"car": 1, "speed": 4.0, "event_timestamp": at(30)}))
    assert read(store, at(10), 1).values["speed"] == [None]


def test_a_ttl_of_zero_never_expires(store: FeatureStore) -> None:
    write(store, roads({"car": 1, "road": "A1", "wet": 0.5}), "roads")
    assert read(store, at(10**6), 1, 2, view="roads", road=["A1", "A1"]).values["wet"] == [0.5, None]


def test_every_type_comes_back_as_it_was_written(store: FeatureStore) -> None:
    row = {
        "car": 7, "speed": 1 / 3, "grip": 0.5, "trips": -(2**62), "name": "Äß 🚗", "electric": False,
        "serviced": at(0.5) + timedelta(microseconds=7), "laps": [3, 1, 2],
    }  # fmt: skip
    write(store, cars(row, {"car": 8}))
    found = read(store, at(20), 8, None, 7, 7, 999)
    for name, value in row.items():
        if name != "car":
            assert found.values[name] == [None, None, value, value, None], name


def test_feasts_own_calls_see_the_same_values(store: FeatureStore) -> None:
    write(store, cars({"car": 1, "speed": 2.5, "name": "Aston", "laps": [1], "electric": True}))
    with reading_at(at(10)):
        answer = store.get_online_features(
            features=["cars:speed", "cars:name", "cars:laps", "cars:electric", "cars:trips"],
            entity_rows=[{"car": 1}, {"car": 2}],
        )
    values = answer.to_dict(include_event_timestamps=True)
    assert values["speed"] == [2.5, None]
    assert values["name"] == ["Aston", None]
    assert values["laps"] == [[1], None]
    assert values["electric"] == [True, None]
    assert values["trips"] == [None, None]
    assert values["speed__ts"] == [int(NOON.timestamp()), 0]


def test_feasts_asynchronous_read_answers_alike(store: FeatureStore) -> None:
    write(store, cars({"car": 1, "speed": 2.5}))
    with reading_at(at(10)):
        answer = asyncio.run(store.get_online_features_async(features=ASKED, entity_rows=[{"car": 1}]))
    assert answer.to_dict()["speed"] == [2.5]


def test_without_a_stated_moment_a_read_is_now(store: FeatureStore) -> None:
    write(store, cars({"car": 1, "speed": 2.5}))
    assert store.get_online_features(features=ASKED, entity_rows=[{"car": 1}]).to_dict()["speed"] == [None]


def test_materialising_twice_and_an_old_window_last_leaves_the_newest(tmp_path: Path) -> None:
    history = cars(
        {"car": 1, "speed": 1.0, "event_timestamp": at(-60)}, {"car": 1, "speed": 2.0}, {"car": 2, "speed": 5.0}
    )
    store = build("sqlite", tmp_path, history)
    for start, end in ((at(-120), at(60)), (at(-120), at(-30)), (at(-120), at(60))):
        store.materialize(start, end, ["cars"])
    assert read(store, at(60), 1, 2).values["speed"] == [2.0, 5.0]
    assert read(store, at(60), 1).created_times == [at(5)]


@pytest.mark.parametrize("key", [1.5, True, "1", None, b"1"])
def test_a_key_of_another_type_is_refused_by_feasts_read(store: FeatureStore, key: Any) -> None:
    with pytest.raises(InvalidRequest, match="'car' cannot be"):
        store.get_online_features(features=ASKED, entity_rows=[{"car": key}])


@pytest.mark.parametrize("key", [1.5, True, "1"])
def test_a_key_of_another_type_is_refused_by_the_fast_read(store: FeatureStore, key: Any) -> None:
    with pytest.raises(InvalidRequest, match="'car' cannot be"):
        read(store, at(10), 2, key)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_zone_of_the_process_changes_nothing(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    import time

    moment = at(0) + timedelta(microseconds=123_457)
    write(store, cars({"car": 1, "speed": 1.0, "event_timestamp": moment}))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert read(store, at(10), 1).event_times == [moment]
        write(store, cars({"car": 2, "speed": 1.0, "event_timestamp": moment}))
        store.write_to_online_store("cars", cars({"car": 3, "speed": 1.0, "event_timestamp": moment}).to_pandas())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read(store, at(10), 2, 3).event_times == [moment] * 2


def test_a_row_of_an_earlier_schema_keeps_what_both_know(store: FeatureStore, tmp_path: Path) -> None:
    from feast import Field
    from feast.types import Float64, Int64

    write(store, cars({"car": 1, "speed": 2.5, "trips": 3, "name": "Aston"}))
    view = store.get_feature_view("cars")
    changed = {"speed": Int64, "heat": Float64}
    view.features = [Field(name=f.name, dtype=changed.get(f.name, f.dtype)) for f in view.features]
    view.features.insert(0, Field(name="heat", dtype=Float64))
    target = online_view(store.config, view)
    found = fresh(store).read_views(store.config, [(target, {"car": [1]})], at(10))[0]
    assert found.values["heat"] == [None]
    assert found.values["speed"] == [None]  # another type is another feature
    assert found.values["trips"] == [3]
    assert found.values["name"] == ["Aston"]


def test_many_views_and_entities_are_one_statement_or_one_round_trip(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, cars({"car": 1, "speed": 2.5}))
    views = [online_view(store.config, store.get_feature_view(name)) for name in ("cars", "roads", "cars")]
    keys = {"car": list(range(100)), "road": ["A1"] * 100}
    online = fresh(store)
    sent: list[Any] = []
    if isinstance(online, SqliteFreshOnlineStore):
        online._connection(store.config).set_trace_callback(sent.append)
    else:
        send = redis.Connection.send_packed_command

        def counted(*args: Any, **options: Any) -> None:
            sent.append(args)
            send(*args, **options)

        monkeypatch.setattr(redis.Connection, "send_packed_command", counted)
    found = online.read_views(store.config, [(view, keys) for view in views], at(10))
    if isinstance(online, SqliteFreshOnlineStore):
        online._connection(store.config).set_trace_callback(None)
    assert len(sent) == 1
    assert found[2].values["speed"][:3] == [None, 2.5, None]


def test_removing_a_view_removes_its_rows_only(store: FeatureStore) -> None:
    write(store, cars({"car": 1, "speed": 2.5}))
    write(store, roads({"car": 1, "road": "A1", "wet": 0.5}), "roads")
    view = store.get_feature_view("cars")
    fresh(store).update(store.config, [view], [store.get_feature_view("roads")], [], [], partial=False)
    fresh(store).update(store.config, [], [view], [], [], partial=False)
    assert read(store, at(10), 1).values["speed"] == [None]
    assert read(store, at(10), 1, view="roads", road=["A1"]).values["wet"] == [0.5]


def test_many_keys_are_more_than_one_statement_can_bind(store: FeatureStore) -> None:
    ids = list(range(70_000))
    frame = cars({"car": 0, "speed": 1.0}).drop("car").join(pl.DataFrame({"car": ids}), how="cross")
    assert write(store, frame) == 70_000
    assert read(store, at(10), *ids).values["speed"] == [1.0] * 70_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ([pl.col("car").cast(pl.Float64)], "entity key 'car' is Float64"),
        ([pl.lit(None, pl.Int64).alias("car")], "1 of 1 rows have no entity key"),
        ([pl.col("trips").cast(pl.Float64)], "feature 'trips' is Float64"),
        ([pl.col("speed").cast(pl.String)], "feature 'speed' is String"),
        ([pl.col("event_timestamp").dt.replace_time_zone(None)], "'event_timestamp' is Datetime"),
        ([pl.lit(None, CAR_SCHEMA["event_timestamp"]).alias("event_timestamp")], "1 nulls"),
    ],
)
def test_a_frame_that_is_not_what_the_view_declares_is_refused(
    store: FeatureStore, change: list[pl.Expr], says: str
) -> None:
    with pytest.raises(WrongColumns, match=says):
        write(store, cars({"car": 1, "speed": 1.0, "trips": 2}).with_columns(change))


def test_a_frame_without_a_feature_is_refused(store: FeatureStore) -> None:
    with pytest.raises(WrongColumns, match="no column 'speed', 'laps'"):
        write(store, cars({"car": 1}).drop("speed", "laps"))


def test_an_empty_frame_writes_nothing(store: FeatureStore) -> None:
    assert write(store, cars()) == 0


def test_readers_see_whole_rows_and_no_error_while_a_bulk_write_runs(store: FeatureStore) -> None:
    ids = list(range(2_000))

    def version(number: int) -> pl.DataFrame:
        row = {"car": 0, "speed": float(number), "trips": number, "event_timestamp": at(number)}
        return cars(row).drop("car").join(pl.DataFrame({"car": ids}), how="cross")

    write(store, version(0))
    stop = threading.Event()

    def read_until_stopped() -> set[tuple[float, int]]:
        seen = set()
        while not stop.is_set():
            found = read(store, at(60), *ids[::40])
            seen.update(zip(found.values["speed"], found.values["trips"], strict=True))
        return seen

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_until_stopped)
        for number in range(1, 8):
            write(store, version(number))
        stop.set()
    seen = reading.result()
    assert seen
    assert all(speed == trips for speed, trips in seen)


def test_reading_a_view_that_was_never_applied_says_what_to_do(tmp_path: Path) -> None:
    store = build("sqlite", tmp_path)
    view = store.get_feature_view("cars")
    fresh(store).teardown(store.config, [view], [])
    with pytest.raises(FeatureError, match="feast apply"):
        read(store, at(10), 1)


def test_a_store_that_does_not_answer_is_named_and_the_password_is_not(tmp_path: Path) -> None:
    from feast import RepoConfig

    online = online_config("redis", tmp_path) | {"connection_string": "127.0.0.1:1,password=geheim"}
    config = RepoConfig(
        project="absent",
        provider="local",
        registry=str(tmp_path / "registry.db"),
        offline_store={"type": "duckdb"},
        online_store=online,
        entity_key_serialization_version=3,
    )
    view = definitions(tmp_path)[2]
    with pytest.raises(FeatureError, match=r"127\.0\.0\.1:1 did not do its work") as caught:
        FeatureStore(config=config)._get_provider().online_store.update(config, [], [view], [], [], partial=False)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("text", ["localhost", "a:1,b:2", "localhost:6379,colour=red", "db=1"])
def test_a_connection_string_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_connection(text)


def test_reading_at_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(InputError, match="no time zone"), reading_at(NOON.replace(tzinfo=None)):
        pass
