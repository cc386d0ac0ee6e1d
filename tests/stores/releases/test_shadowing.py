"""The challenger behind the champion, in process: what is asked of it, what is logged, and what is dropped."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from esteira.contract import FeatureRows, utc
from esteira.errors import StoreUnreachable
from esteira.serving.following import Contender, Serving
from esteira.serving.predictor import Predictor
from esteira.stores.answers import predictions
from esteira.stores.answers.prediction_log import LoggedAnswers, PredictionLog
from esteira.stores.releases import shadowing
from esteira.stores.releases.shadowing import Shadow
from esteira.traffic import CHALLENGER
from tests.serving.models import card, frame, xgboost_pipeline

MOMENT = utc("2013-03-01T12:00:00Z")
PREDICTOR = Predictor(card(version="m2"), xgboost_pipeline())


class Read:
    """Features that say the same of everybody, or fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[Any, datetime]] = []

    def read(self, rows: Mapping[str, Sequence[Any]], as_of: datetime) -> FeatureRows:
        self.asked.append((rows, as_of))
        if self.error:
            raise self.error
        count = len(next(iter(rows.values())))
        values = {"origin": ["EWR"] * count, "distance": [500] * count, "delay_mean_2h": [90.0] * count}
        return FeatureRows(values=values, event_times={"v": [MOMENT] * count}, created_times={"v": [MOMENT] * count})


def challenger(service: str = "flight_delay_v1", features: Read | None = None) -> Serving:
    return Serving(Contender(7, "m2", service), PREDICTOR, features or Read(), role=CHALLENGER)


def asked(first: int, count: int) -> dict[str, list[Any]]:
    rows = frame(100).iloc[first : first + count].astype(object)
    rows = rows.where(rows.notna(), None)
    return {name: rows[name].to_list() for name in rows.columns}


def answered(first: int, count: int, *, source: str = "computed", origin: str | None = None) -> LoggedAnswers:
    """One request about ``count`` entities, as the champion answered and logged it."""
    features = asked(first, count)
    return LoggedAnswers(
        use_case="flight_delay",
        release=7,
        model_version="m1",
        feature_service="flight_delay_v1",
        requested_at=MOMENT + timedelta(seconds=first),
        horizon=None,
        prediction_id=[f"p{first + place}" for place in range(count)],
        entity_id=[f"e{first + place}" for place in range(count)],
        as_of=[MOMENT] * count,
        source=[source] * count,
        prediction=[0.5] * count,
        decision=[True] * count,
        changes=[()] * count,
        inputs={"origin": [origin or each for each in features["origin"]]},
        read=list(range(count)),
        features=features,
        event_times={"v": [MOMENT] * count},
        created_times={"v": [MOMENT] * count},
        request_id=f"r{first}",
    )


@pytest.fixture
def shadow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    counted: dict[str, int] = {}

    class Counting:
        def shadowed(self, result: str, count: int) -> None:
            counted[result] = counted.get(result, 0) + count

    monkeypatch.setattr(shadowing, "measures", Counting)
    made = Shadow(lambda: PredictionLog("flight_delay", started_at=MOMENT))
    made.counted = counted  # type: ignore[attr-defined]
    return made


def ended(shadow: Shadow, *, after: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not after():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    shadow.stop()


def test_each_request_is_logged_as_the_challenger_would_have_answered_it(shadow: Any) -> None:
    shadow.start()
    for first, count in ((0, 1), (1, 40), (41, 3)):
        shadow.offer(challenger(), answered(first, count))
    ended(shadow, after=lambda: shadow.counted == {"logged": 44})
    assert predictions.collect("flight_delay") == 44
    said = predictions.read_predictions("flight_delay", roles=("shadow",)).sort(
        pl.col("entity_id").str.slice(1).cast(int)
    )
    assert said["prediction"].to_list() == PREDICTOR.predict(asked(0, 44)).tolist()
    assert said["shadow_of"].to_list() == [f"p{place}" for place in range(44)]
    assert said["prediction_id"].n_unique() == 44
    assert set(said["model_version"]) == {"m2"}
    assert said["request_id"].to_list() == ["r0"] + ["r1"] * 40 + ["r41"] * 3
    assert set(said["inputs"]) == {"{}"}  # they stand in the champion's record
    assert predictions.read_predictions("flight_delay").height == 0


def test_a_challenger_with_features_of_its_own_has_them_read_as_of_the_same_moment_and_logged(shadow: Any) -> None:
    features = Read()
    shadow.start()
    shadow.offer(challenger("flight_delay_v2", features), answered(0, 2))
    ended(shadow, after=lambda: shadow.counted == {"logged": 2})
    ((rows, moment),) = features.asked
    assert (list(rows), moment) == (["origin"], MOMENT)
    predictions.collect("flight_delay")
    said = predictions.read_predictions("flight_delay", roles=("shadow",))
    assert set(said["feature_service"]) == {"flight_delay_v2"}
    assert said["features"][0] == '{"origin": "EWR", "distance": 500, "delay_mean_2h": 90.0}'
    assert said["prediction"].n_unique() == 1


def test_only_what_the_champion_computed_is_asked(shadow: Any) -> None:
    shadow.start()
    shadow.offer(challenger(), answered(0, 5, source="cached"))
    shadow.offer(challenger(), answered(5, 2))
    ended(shadow, after=lambda: shadow.counted == {"logged": 2})
    assert predictions.collect("flight_delay") == 2


def test_a_challenger_that_fails_is_counted_told_and_asked_again(shadow: Any) -> None:
    shadow.start()
    down = challenger("flight_delay_v2", Read(StoreUnreachable("The online store does not answer.")))
    shadow.offer(down, answered(0, 3))
    deadline = time.monotonic() + 20
    while shadow.counted != {"failed": 3}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "m2 fails in the shadow: The online store does not answer." in shadow.trouble
    shadow.offer(challenger(), answered(3, 2))
    ended(shadow, after=lambda: shadow.counted == {"failed": 3, "logged": 2})
    assert shadow.trouble is None


def test_an_entity_the_challenger_has_never_heard_of_fails_alone(shadow: Any) -> None:
    shadow.start()
    shadow.offer(challenger(), answered(0, 1, origin="XXX"))
    shadow.offer(challenger(), answered(1, 4))
    ended(shadow, after=lambda: shadow.counted == {"failed": 1, "logged": 4})


def test_what_does_not_fit_the_queue_is_dropped_and_counted(shadow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadowing, "_MOST_WAITING", 10)
    for first in range(0, 12, 4):  # nobody works yet
        shadow.offer(challenger(), answered(first, 4))
    assert shadow.counted == {"dropped": 4}
    shadow.start()
    ended(shadow, after=lambda: shadow.counted == {"dropped": 4, "logged": 8})
