from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from feast import FeatureStore

from esteira.features.online_redis import parse_connection
from esteira.features.online_view import online_view
from tests.features.online_repo import FEAST_WARNINGS, build, cars, need_redis, roads
from tests.features.test_online_store import fresh, write

pytestmark = [*FEAST_WARNINGS]
LARGE = 7_000_000_000_123
NAMED = "Highway-of-the-Sun"


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureStore]:
    if request.param == "redis":
        need_redis()
    store = build(request.param, tmp_path)
    write(store, cars(*({"car": number, "name": f"number {number}"} for number in (1, LARGE, 3))))
    write(store, roads({"car": 1, "road": NAMED}, {"car": 3, "road": "Side-Street"}), view="roads")
    yield store
    store.teardown()


def kept(store: FeatureStore, view: str) -> int:
    online = fresh(store)
    return len(list(online._keys(store.config, online_table(store, view))))


def online_table(store: FeatureStore, view: str) -> str:
    return online_view(store.config, store.get_feature_view(view)).table


def everything(store: FeatureStore) -> bytes:
    """All bytes the database has, on disk or in Redis."""
    online = store.config.online_store
    if hasattr(online, "path"):
        return b"".join(file.read_bytes() for file in Path(online.path).parent.glob(f"{Path(online.path).name}*"))
    client = redis.Redis(**parse_connection(online.connection_string))
    held = {each: client.hgetall(each) for each in client.keys("esteira:view:*")}
    client.close()
    return repr(held).encode()


def test_an_entity_is_erased_from_a_view_and_no_byte_of_it_stays(store: FeatureStore) -> None:
    view = store.get_feature_view("cars")
    assert f"number {LARGE}".encode() in everything(store)
    assert fresh(store).erase_entities(store.config, view, {"car": [LARGE, 99]}) == 1
    assert f"number {LARGE}".encode() not in everything(store)
    assert kept(store, "cars") == 2
    assert fresh(store).erase_entities(store.config, view, {"car": [LARGE]}) == 0


def test_one_part_of_a_longer_key_is_enough_and_only_that_part_counts(store: FeatureStore) -> None:
    view = store.get_feature_view("roads")
    assert fresh(store).erase_entities(store.config, view, {"road": [NAMED]}) == 1
    assert NAMED.encode() not in everything(store)
    assert fresh(store).erase_entities(store.config, view, {"road": ["Side"]}) == 0
    assert kept(store, "roads") == 1
