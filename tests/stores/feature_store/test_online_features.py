import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from feast import FeatureService, FeatureStore, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from esteira.errors import FeatureError, InvalidRequest, UnknownName
from esteira.stores.feature_store.online_features import OnlineFeatures, fresh_store, write_online
from tests.features.online_repo import (
    FEAST_WARNINGS,
    NOON,
    at,
    build,
    cars,
    definitions,
    repository,
    roads,
    store,
)

__all__ = ["repository", "store"]  # fixtures
pytestmark = [*FEAST_WARNINGS]


def asked(*ids: int | None, length_km: float | None = 30.0, road: str = "A1") -> dict[str, list[Any]]:
    return {"car": list(ids), "road": [road] * len(ids), "length_km": [length_km] * len(ids)}


def test_every_column_of_the_service_is_answered_in_its_order(store: FeatureStore) -> None:
    features = OnlineFeatures(store, "drive")
    declared = [
        feature.name
        for projection in store.get_feature_service("drive").feature_view_projections
        for feature in projection.features
    ]
    assert list(features.columns) == declared
    write_online(store, "cars", cars({"car": 1, "speed": 60.0, "trips": 3, "name": "Aston", "electric": True}))
    write_online(store, "roads", roads({"car": 1, "road": "A1", "wet": 0.5}))
    found = features.read(asked(1, 2), at(10))
    assert list(found.values) == declared
    assert found.values["speed"] == [60.0, None]
    assert found.values["minutes_needed"] == [30.0, None]
    assert found.values["is_long"] == [False, False]
    assert found.values["wet"] == [0.5, None]
    assert found.event_times == {"cars": [NOON, None], "roads": [NOON, None]}
    assert found.created_times == {"cars": [at(5), None], "roads": [at(5), None]}


def test_an_expired_value_is_missing_for_on_demand_features_too(store: FeatureStore) -> None:
    write_online(store, "cars", cars({"car": 1, "speed": 60.0}))
    write_online(store, "roads", roads({"car": 1, "road": "A1", "wet": 0.5}))
    found = OnlineFeatures(store, "drive").read(asked(1), at(121))
    assert found.values["minutes_needed"] == [None]
    assert found.values["wet"] == [0.5]
    assert found.event_times["cars"] == [None]


def test_only_news_is_counted_as_written(store: FeatureStore) -> None:
    rows = cars({"car": 1, "speed": 1.0}, {"car": 1, "speed": 2.0, "event_timestamp": at(1)}, {"car": 2, "speed": 3.0})
    assert write_online(store, "cars", rows) == 2
    assert write_online(store, "cars", rows.head(1)) == 0


@pytest.mark.parametrize("offline_store", ["duckdb", "esteira.features.offline_store.EsteiraOfflineStore"])
@pytest.mark.parametrize("seed", range(4))
def test_online_equals_the_offline_join_value_for_value(tmp_path: Path, seed: int, offline_store: str) -> None:
    chance = random.Random(seed)
    as_of = at(240)
    rows = []
    for number in range(300):
        event = at(chance.uniform(0, 260))
        rows.append(
            {
                "car": chance.randrange(40),
                "speed": chance.choice([None, 0.0, chance.uniform(1, 200)]),
                "trips": chance.choice([None, number]),
                "name": chance.choice([None, "", f"car {number}"]),
                "electric": chance.choice([None, True, False]),
                "event_timestamp": event,
                "created_timestamp": event + timedelta(minutes=chance.choice([0, 1, 90])),
            }
        )
    known = [row for row in rows if row["created_timestamp"] <= as_of]
    # Feast's own store knows event time only, so it must not be given what was not known yet.
    store = build("sqlite", tmp_path, cars(*(known if offline_store == "duckdb" else rows)), offline_store)
    chance.shuffle(known)
    for start in range(0, len(known), 50):
        write_online(store, "cars", cars(*known[start : start + 50]))
    write_online(store, "roads", roads({"car": 1, "road": "A1", "wet": 0.5}))
    request = asked(*range(45)) | {"length_km": [chance.uniform(1, 300) for _ in range(45)]}

    features = OnlineFeatures(store, "drive")
    online = features.read(request, as_of)
    entities = pl.DataFrame(request).with_columns(event_timestamp=pl.lit(as_of)).to_pandas()
    joined = store.get_historical_features(entity_df=entities, features=store.get_feature_service("drive")).to_arrow()
    offline = pl.DataFrame(pl.from_arrow(joined)).sort("car")
    for column in features.columns:
        assert online.values[column] == offline[column].to_list(), column


def test_a_request_without_an_input_says_what_is_needed(store: FeatureStore) -> None:
    features = OnlineFeatures(store, "drive")
    with pytest.raises(InvalidRequest, match="'length_km' is not in the request") as caught:
        features.read({"car": [1], "road": ["A1"]}, at(10))
    assert "Send car, road, length_km" in str(caught.value)


def test_columns_of_different_length_are_refused(store: FeatureStore) -> None:
    with pytest.raises(InvalidRequest, match="differ in length"):
        OnlineFeatures(store, "drive").read({"car": [1, 2], "road": ["A1"], "length_km": [1.0]}, at(10))


def test_a_request_input_of_another_type_is_refused(store: FeatureStore) -> None:
    with pytest.raises(InvalidRequest, match="'length_km' cannot be '30'"):
        OnlineFeatures(store, "drive").read({"car": [1], "road": ["A1"], "length_km": ["30"]}, at(10))


def test_an_integer_is_a_number_where_a_float_is_declared(store: FeatureStore) -> None:
    write_online(store, "cars", cars({"car": 1, "speed": 60.0}))
    found = OnlineFeatures(store, "drive").read({"car": [1], "road": ["A1"], "length_km": [30]}, at(10))
    assert found.values["minutes_needed"] == [30.0]


def test_what_a_feature_is_made_of_and_how_long_it_lives_can_be_asked(store: FeatureStore) -> None:
    features = OnlineFeatures(store, "drive")
    assert features.sources["speed"] == ("cars",)
    assert features.sources["minutes_needed"] == ("cars",)
    assert features.ttls == {"cars": timedelta(hours=2), "roads": None}


def test_an_unknown_service_or_view_lists_the_known(store: FeatureStore) -> None:
    with pytest.raises(UnknownName, match=r"Unknown feature service 'drvie'. Known: drive"):
        OnlineFeatures(store, "drvie")
    with pytest.raises(UnknownName, match=r"Unknown feature view 'car'. Known: "):
        write_online(store, "car", cars({"car": 1}))


def test_two_views_with_the_same_feature_name_are_refused(store: FeatureStore, tmp_path: Path) -> None:
    views = definitions(tmp_path)
    request = RequestSource(name="again", schema=[Field(name="length_km", dtype=Float64)])

    @on_demand_feature_view(sources=[request], schema=[Field(name="speed", dtype=Float64)], mode="python")
    def same_name(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"speed": inputs["length_km"]}

    store.apply([same_name, FeatureService(name="twice", features=[views[2], same_name])])
    with pytest.raises(FeatureError, match="'speed' from both 'cars' and 'same_name'"):
        OnlineFeatures(store, "twice")


def test_an_on_demand_view_that_fails_is_named(store: FeatureStore) -> None:
    request = RequestSource(name="bad", schema=[Field(name="length_km", dtype=Float64)])

    @on_demand_feature_view(sources=[request], schema=[Field(name="half", dtype=Float64)], mode="python")
    def halves(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"half": [length / 2 for length in inputs["length_km"]]}

    store.apply([halves, FeatureService(name="halved", features=[halves])])
    features = OnlineFeatures(store, "halved")
    assert features.read({"length_km": [3.0]}, at(0)).values == {"half": [1.5]}
    assert features.sources == {"half": ()}
    with pytest.raises(FeatureError, match="'halves' failed on 1 rows: TypeError"):
        features.read({"length_km": [None]}, at(0))


def test_feasts_own_store_is_refused(tmp_path: Path) -> None:
    from feast import RepoConfig

    config = RepoConfig(
        project="plain",
        provider="local",
        registry=str(tmp_path / "registry.db"),
        offline_store={"type": "duckdb"},
        online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
        entity_key_serialization_version=3,
    )
    with pytest.raises(FeatureError, match="SqliteOnlineStore, which serves expired values"):
        fresh_store(FeatureStore(config=config))
