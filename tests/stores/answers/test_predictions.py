from datetime import timedelta
from pathlib import Path

import pytest

from esteira.errors import MissingData
from esteira.stores.answers import predictions
from esteira.stores.answers.prediction_log import PredictionLog, segments_path
from tests.stores.answers.asked import START, logged


def test_an_answer_is_on_disk_when_its_future_is_done_and_collected_once(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write(logged("a", "b")).result(timeout=5)
    assert predictions.collect("flight_delay") == 2
    assert predictions.collect("flight_delay") == 0
    log.write(logged("c", as_of=START + timedelta(hours=1))).result(timeout=5)
    assert predictions.collect("flight_delay") == 1
    log.close()
    assert predictions.collect("flight_delay") == 0
    assert list(segments_path("flight_delay").glob("*.jsonl")) == []
    rows = predictions.read_predictions("flight_delay")
    assert rows["prediction_id"].to_list() == ["a", "b", "c"]
    assert dict(rows.schema) == predictions.PREDICTIONS
    assert rows["event_times"][0] == '{"weather": "2013-03-01T11:59:59.999993Z", "aircraft": null}'
    assert rows["features"][0] == '{"distance": 1400, "gust": null}'


def test_predictions_are_read_by_the_moment_they_are_for(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    for hour in range(4):
        log.write(logged(str(hour), as_of=START + timedelta(hours=hour))).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    found = predictions.read_predictions("flight_delay", after=START, until=START + timedelta(hours=2))
    assert found["prediction_id"].to_list() == ["1", "2"]


def test_predictions_that_were_never_collected_are_missing_data(home: Path) -> None:
    assert predictions.collect("flight_delay") == 0
    with pytest.raises(MissingData, match="predictions_flight_delay"):
        predictions.read_predictions("flight_delay")


def test_collected_predictions_lie_by_day(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    for day in range(3):
        log.write(logged(str(day), as_of=START + timedelta(days=day))).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    folders = {each.name for each in (home / "tables" / "predictions_flight_delay").glob("day=*")}
    assert folders == {"day=2013-03-01", "day=2013-03-02", "day=2013-03-03"}
