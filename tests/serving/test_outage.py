import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event
from typing import Any

import pytest

from esteira.contract import FeatureRows
from esteira.errors import FeatureError, StoreUnreachable
from esteira.features import online_redis
from esteira.serving import outage
from esteira.serving.outage import Shielded
from esteira.stores.feature_store.online_features import OnlineFeatures, write_online
from tests.features.online_repo import FEAST_WARNINGS, NOON, at, build, cars, need_redis
from tests.tcp_proxy import Mode, Proxy, proxied

# The proxy drops connections in the middle of everything, and asyncio says so when it clears them away.
pytestmark = [*FEAST_WARNINGS, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
ASKED = {"car": [1], "road": ["A1"], "length_km": [30.0]}


class Store:
    """Features whose store can be lost."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0
        self.may_go_on = Event()
        self.may_go_on.set()

    def read(self, rows: Mapping[str, Sequence[Any]], as_of: datetime) -> FeatureRows:
        self.asked += 1
        self.may_go_on.wait(10)
        if self.error is not None:
            raise self.error
        return FeatureRows(values={}, event_times={}, created_times={})


def test_a_store_that_is_gone_is_asked_now_and_then_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(outage.time, "monotonic", lambda: now[0])
    store = Store()
    shielded = Shielded(store)
    store.error = StoreUnreachable("gone")
    for _ in range(50):
        with pytest.raises(StoreUnreachable, match="gone"):
            shielded.read({}, NOON)
    assert store.asked == 1
    now[0] += 1.1
    with pytest.raises(StoreUnreachable):
        shielded.read({}, NOON)
    assert store.asked == 2
    store.error = None
    now[0] += 1.1
    shielded.read({}, NOON)
    shielded.read({}, NOON)
    assert store.asked == 4


def test_one_question_finds_out_while_the_others_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_PAUSE_SECONDS", 0.0)
    store = Store()
    shielded = Shielded(store)
    store.error = StoreUnreachable("gone")
    with pytest.raises(StoreUnreachable):
        shielded.read({}, NOON)
    store.may_go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shielded.read, {}, NOON)
        while store.asked < 2:
            time.sleep(0.01)
        for _ in range(10):
            with pytest.raises(StoreUnreachable):
                shielded.read({}, NOON)
        store.may_go_on.set()
        assert isinstance(first.exception(timeout=10), StoreUnreachable)
    assert store.asked == 2


def test_a_question_that_cannot_be_answered_is_no_outage() -> None:
    store = Store()
    shielded = Shielded(store)
    store.error = FeatureError("this question alone")
    for _ in range(3):
        with pytest.raises(FeatureError, match="this question alone"):
            shielded.read({}, NOON)
    assert store.asked == 3


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OnlineFeatures, Proxy]]:
    """Features in a real Redis behind a proxy, with one row in them."""
    need_redis()
    store = build("redis", tmp_path_factory.mktemp("repository"))
    write_online(store, "cars", cars({"car": 1, "speed": 88.0}))
    with proxied(6379) as proxy:
        direct = store.config.online_store.connection_string
        store.config.online_store.connection_string = f"127.0.0.1:{proxy.port},db=15"
        yield OnlineFeatures(store, "drive"), proxy
        store.config.online_store.connection_string = direct
        store.teardown()


def speed(features: OnlineFeatures) -> Any:
    return features.read(ASKED, at(10)).values["speed"]


@pytest.mark.services
@pytest.mark.parametrize("mode", ["refuse", "reset", "half", "silent"])
def test_whatever_goes_wrong_before_redis_is_told_in_time_and_over_when_it_is(
    behind: tuple[OnlineFeatures, Proxy], mode: Mode
) -> None:
    features, proxy = behind
    assert speed(features) == [88.0]
    proxy.mode = mode
    try:
        with pytest.raises(StoreUnreachable, match=r"online store at 127\.0\.0\.1"):
            speed(features)
    finally:
        proxy.mode = "pass"
    assert speed(features) == [88.0]


@pytest.mark.services
def test_a_slow_redis_is_waited_for_as_long_as_a_read_may_take(behind: tuple[OnlineFeatures, Proxy]) -> None:
    features, proxy = behind
    proxy.mode = "delay"
    try:
        proxy.delay = 0.2
        assert speed(features) == [88.0]
        proxy.delay = online_redis._READ_DEADLINE * 3
        with pytest.raises(StoreUnreachable, match=r"(?i)time"):
            speed(features)
    finally:
        proxy.mode = "pass"
    assert speed(features) == [88.0]
