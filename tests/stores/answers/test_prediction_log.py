from pathlib import Path

import pytest

from esteira.errors import DataError
from esteira.serving.request_log import request_id
from esteira.settings import settings
from esteira.stores.answers import predictions, segments
from esteira.stores.answers.prediction_log import PredictionLog
from tests.stores.answers.asked import START, fail, logged


def test_what_was_logged_names_the_request_it_answered(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    named = request_id.set("r-17")
    log.write(logged("a")).result(timeout=5)
    request_id.reset(named)
    log.close()
    predictions.collect("flight_delay")
    assert predictions.read_predictions("flight_delay")["request_id"].to_list() == ["r-17"]


def test_an_answer_that_cannot_be_written_is_refused_and_writing_recovers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    with monkeypatch.context() as full:
        full.setattr(segments, "_sync", fail)
        with pytest.raises(DataError, match="cannot be written"):
            log.write(logged("lost")).result(timeout=5)
        assert log.failure is not None
    log.write(logged("kept")).result(timeout=5)
    assert log.failure is None
    log.close()
    assert predictions.collect("flight_delay") == 1
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["kept"]


def test_a_log_that_may_drop_confirms_what_it_cannot_write_and_counts_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_PREDICTION_LOG_WHEN_FULL", "drop")
    settings.cache_clear()
    log = PredictionLog("flight_delay", started_at=START)
    with monkeypatch.context() as full:
        full.setattr(segments, "_sync", fail)
        log.write(logged("lost", "lost too")).result(timeout=5)
    assert (log.dropped, log.refuses) == (2, False)
    log.write(logged("kept")).result(timeout=5)
    log.close()
    assert log.failure is None
    predictions.collect("flight_delay")
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["kept"]


def test_a_share_of_the_answers_is_logged_and_says_which_share(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_PREDICTION_LOG_SHARE", "0.25")
    settings.cache_clear()
    log = PredictionLog("flight_delay", started_at=START)
    log.write(logged(*(f"prediction {n}" for n in range(1000)))).result(timeout=5)
    for n in range(1000, 2000):
        log.write(logged(f"prediction {n}")).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    kept = predictions.read_predictions("flight_delay")
    assert 400 < kept.height < 600
    assert (1 / kept["share"]).sum() == 4 * kept.height
