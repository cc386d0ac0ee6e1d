import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic_core import to_json

from esteira.errors import DataError
from esteira.stores.answers import predictions, segments
from esteira.stores.answers.prediction_log import PredictionLog, segments_path
from tests.stores.answers.asked import START, fail, logged


def test_many_threads_lose_and_double_nothing_while_collectors_run(home: Path) -> None:
    logs = [PredictionLog("flight_delay", started_at=START) for _ in range(2)]
    writing = threading.Event()
    collected: list[int] = []

    def collect_while_writing() -> None:
        while not writing.is_set():
            collected.append(predictions.collect("flight_delay"))

    collectors = [threading.Thread(target=collect_while_writing) for _ in range(2)]
    for each in collectors:
        each.start()
    with ThreadPoolExecutor(8) as callers:
        written = [callers.submit(logs[n % 2].write, logged(str(n), f"{n} too")) for n in range(400)]
        for each in written:
            each.result().result(timeout=30)
    writing.set()
    for each in collectors:
        each.join()
    for log in logs:
        log.close()
    collected.append(predictions.collect("flight_delay"))
    assert sum(collected) == 800
    kept = predictions.read_predictions("flight_delay")["prediction_id"].to_list()
    assert len(kept) == 800
    assert set(kept) == {name for n in range(400) for name in (str(n), f"{n} too")}


def test_a_torn_last_line_is_left_out_once_its_writer_is_gone(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    segments_path("flight_delay").mkdir(parents=True)
    whole = to_json(logged("a")) + b"\n"
    (segments_path("flight_delay") / "gone.jsonl").write_bytes(whole + to_json(logged("b"))[:99])
    assert predictions.collect("flight_delay") == 1
    assert "torn line of 99 bytes" in caplog.text
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["a"]


def test_a_collection_that_was_killed_before_it_deleted_the_segment_is_not_repeated(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write(logged("a")).result(timeout=5)
    log.close()
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", fail)
        with pytest.raises(OSError, match="killed here"):
            predictions.collect("flight_delay")
    assert predictions.collect("flight_delay") == 0
    assert predictions.read_predictions("flight_delay").height == 1


def test_what_was_taken_back_after_a_collector_saw_it_hides_nothing_that_follows(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write(logged("a")).result(timeout=5)

    def seen_then_failed(*_: object) -> None:
        predictions.collect("flight_delay")
        fail()

    with monkeypatch.context() as broken:
        broken.setattr(segments, "_sync", seen_then_failed)
        with pytest.raises(DataError, match="cannot be written"):
            log.write(logged("a refused one, longer than the next")).result(timeout=5)
    for name in "bcd":
        log.write(logged(name)).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    assert set(predictions.read_predictions("flight_delay")["prediction_id"]) >= set("abcd")
    assert list(segments_path("flight_delay").glob("*.jsonl")) == []


def test_a_line_that_cannot_be_read_is_kept_apart_and_stops_nothing(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segments_path("flight_delay").mkdir(parents=True)
    lopsided = logged("a", "b").model_copy(update={"source": ["computed"]})
    lines = [to_json(logged("a")), b"\x00\x00 nonsense", to_json(lopsided), to_json(logged("b", "c")), b""]
    (segments_path("flight_delay") / "gone.jsonl").write_bytes(b"\n".join(lines))
    assert predictions.collect("flight_delay") == 3
    kept_apart = {each.read_bytes() for each in (segments_path("flight_delay") / "unreadable").iterdir()}
    assert kept_apart == {b"\x00\x00 nonsense\n", to_json(lopsided) + b"\n"}
    assert "cannot be read" in caplog.text
    assert "nonsense" not in caplog.text
