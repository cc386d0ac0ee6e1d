from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from esteira.contract import FeatureRows
from esteira.errors import AlteredModel, NoRelease
from esteira.serving.following import Following, Release, Serving
from esteira.serving.predictor import Predictor
from tests.serving.models import card, xgboost_pipeline


@dataclass(frozen=True)
class Named:
    id: int
    model_version: str = "m1"
    feature_service: str = "flight_delay_v1"
    epoch: str = "e1"


class NoFeatures:
    def read(self, rows: Any, as_of: datetime) -> FeatureRows:
        raise AssertionError("following reads no features")


class Ledger:
    """A ledger's answer and a store's, changed by the test as it goes."""

    def __init__(self) -> None:
        self.live: Release | Exception = NoRelease("Nothing is released for use case 'flight_delay'.")
        self.unloadable: set[int] = set()
        self.loads: list[int] = []

    def answer(self) -> Release:
        if isinstance(self.live, Exception):
            raise self.live
        return self.live

    def load(self, release: Release) -> Serving:
        self.loads.append(release.id)
        if release.id in self.unloadable:
            raise AlteredModel("File 'trees.ubj' has the SHA-256 1, but 2 was recorded.")
        return Serving(release=release, predictor=PREDICTOR, features=NoFeatures())


PREDICTOR = Predictor(card(), xgboost_pipeline())


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def following(ledger: Ledger) -> Following:
    return Following(ledger.answer, ledger.load)


def test_without_a_release_there_is_nothing_to_serve_and_the_reason_is_told(following: Following) -> None:
    following.look()
    with pytest.raises(NoRelease, match="Nothing is released"):
        following.require()


def test_a_new_release_takes_over_and_is_loaded_once(ledger: Ledger, following: Following) -> None:
    for release in (1, 1, 2, 2):
        ledger.live = Named(release)
        following.look()
        assert following.require().release.id == release
    assert ledger.loads == [1, 2]


def test_a_release_that_cannot_be_loaded_leaves_the_old_one_serving(ledger: Ledger, following: Following) -> None:
    ledger.live, ledger.unloadable = Named(1), {2}
    following.look()
    ledger.live = Named(2)
    following.look()
    assert following.require().release.id == 1
    assert following.trouble is not None
    assert "release 1 serves on" in following.trouble
    assert "AlteredModel: File 'trees.ubj'" in following.trouble
    ledger.live = Named(3)
    following.look()
    assert following.require().release.id == 3
    assert following.trouble is None


def test_a_refused_release_is_tried_again_later_but_not_at_every_look(ledger: Ledger, following: Following) -> None:
    ledger.live, ledger.unloadable = Named(1), {1}
    for _ in range(10):
        following.look()
    assert ledger.loads == [1]
    ledger.unloadable = set()
    for _ in range(20):
        following.look()
    assert ledger.loads == [1, 1]
    assert following.require().release.id == 1


def test_a_ledger_that_is_gone_for_a_while_does_not_stop_serving(ledger: Ledger, following: Following) -> None:
    ledger.live = Named(1)
    following.look()
    ledger.live = OSError("database is locked")
    following.look()
    assert following.require().release.id == 1
    assert "database is locked" in str(following.trouble)
    ledger.live = Named(1)
    following.look()
    assert following.trouble is None


def test_a_challenger_that_could_not_be_loaded_is_tried_again_later(ledger: Ledger) -> None:
    loaded: list[int] = []

    def load(release: Release) -> Serving:
        loaded.append(release.id)
        trouble = "The challenger m2 is not asked anything" if len(loaded) < 3 else None
        return Serving(release=release, predictor=PREDICTOR, features=NoFeatures(), trouble=trouble)

    following = Following(ledger.answer, load)
    ledger.live = Named(1)
    for _ in range(20):
        following.look()
    assert loaded == [1]
    assert following.require().trouble is not None
    for _ in range(40):
        following.look()
    assert loaded == [1, 1, 1]
    assert following.require().trouble is None
