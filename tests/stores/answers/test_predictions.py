import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from esteira.contract import utc
from esteira.errors import DataError, MissingData
from esteira.serving.request_log import request_id
from esteira.settings import settings
from esteira.stores.answers import predictions, segments
from esteira.stores.answers.prediction_log import LoggedPrediction, PredictionLog, segments_path

START = utc("2013-03-01T12:00:00Z")


def logged(name: str, as_of: datetime = START) -> LoggedPrediction:
    return LoggedPrediction(
        prediction_id=name,
        use_case="flight_delay",
        release=3,
        model_version="m3",
        feature_service="flight_delay_v1",
        entity_id=f"flight-{name}",
        as_of=as_of,
        requested_at=as_of + timedelta(seconds=1),
        horizon=None,
        source="computed",
        prediction=0.25,
        decision=False,
        inputs={"origin": "JFK", "tailnum": None},
        features={"distance": 1400, "gust": None},
        event_times={"weather": as_of - timedelta(microseconds=7), "aircraft": None},
        created_times={"weather": as_of, "aircraft": None},
    )


def test_an_answer_is_on_disk_when_its_future_is_done_and_collected_once(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged("a"), logged("b")]).result(timeout=5)
    assert predictions.collect("flight_delay") == 2
    assert predictions.collect("flight_delay") == 0
    log.write([logged("c", START + timedelta(hours=1))]).result(timeout=5)
    assert predictions.collect("flight_delay") == 1
    log.close()
    assert predictions.collect("flight_delay") == 0
    assert list(segments_path("flight_delay").glob("*.jsonl")) == []
    rows = predictions.read_predictions("flight_delay")
    assert rows["prediction_id"].to_list() == ["a", "b", "c"]
    assert dict(rows.schema) == predictions.PREDICTIONS
    assert rows["event_times"][0] == '{"weather": "2013-03-01T11:59:59.999993Z", "aircraft": null}'
    assert rows["features"][0] == '{"distance": 1400, "gust": null}'


def test_what_was_logged_names_the_request_it_answered(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    named = request_id.set("r-17")
    log.write([logged("a")]).result(timeout=5)
    request_id.reset(named)
    log.close()
    predictions.collect("flight_delay")
    assert predictions.read_predictions("flight_delay")["request_id"].to_list() == ["r-17"]


def test_predictions_are_read_by_the_moment_they_are_for(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged(str(hour), START + timedelta(hours=hour)) for hour in range(4)]).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    found = predictions.read_predictions("flight_delay", after=START, until=START + timedelta(hours=2))
    assert found["prediction_id"].to_list() == ["1", "2"]


def test_predictions_that_were_never_collected_are_missing_data(home: Path) -> None:
    assert predictions.collect("flight_delay") == 0
    with pytest.raises(MissingData, match="predictions_flight_delay"):
        predictions.read_predictions("flight_delay")


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
        written = [callers.submit(logs[n % 2].write, [logged(str(n))]) for n in range(400)]
        for each in written:
            each.result().result(timeout=30)
    writing.set()
    for each in collectors:
        each.join()
    for log in logs:
        log.close()
    collected.append(predictions.collect("flight_delay"))
    assert sum(collected) == 400
    assert set(predictions.read_predictions("flight_delay")["prediction_id"]) == {str(n) for n in range(400)}


def test_a_torn_last_line_is_left_out_once_its_writer_is_gone(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    segments_path("flight_delay").mkdir(parents=True)
    whole = logged("a").model_dump_json().encode() + b"\n"
    (segments_path("flight_delay") / "gone.jsonl").write_bytes(whole + logged("b").model_dump_json().encode()[:99])
    assert predictions.collect("flight_delay") == 1
    assert "torn line of 99 bytes" in caplog.text
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["a"]


def test_a_collection_that_was_killed_before_it_deleted_the_segment_is_not_repeated(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged("a")]).result(timeout=5)
    log.close()
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", _fail)
        with pytest.raises(OSError, match="killed here"):
            predictions.collect("flight_delay")
    assert predictions.collect("flight_delay") == 0
    assert predictions.read_predictions("flight_delay").height == 1


def test_an_answer_that_cannot_be_written_is_refused_and_writing_recovers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    with monkeypatch.context() as full:
        full.setattr(segments, "_sync", _fail)
        with pytest.raises(DataError, match="cannot be written"):
            log.write([logged("lost")]).result(timeout=5)
        assert log.failure is not None
    log.write([logged("kept")]).result(timeout=5)
    assert log.failure is None
    log.close()
    assert predictions.collect("flight_delay") == 1
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["kept"]


def test_what_was_taken_back_after_a_collector_saw_it_hides_nothing_that_follows(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged("a")]).result(timeout=5)

    def seen_then_failed(*_: object) -> None:
        predictions.collect("flight_delay")
        _fail()

    with monkeypatch.context() as broken:
        broken.setattr(segments, "_sync", seen_then_failed)
        with pytest.raises(DataError, match="cannot be written"):
            log.write([logged("a refused one, longer than the next")]).result(timeout=5)
    for name in "bcd":
        log.write([logged(name)]).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    assert set(predictions.read_predictions("flight_delay")["prediction_id"]) >= set("abcd")
    assert list(segments_path("flight_delay").glob("*.jsonl")) == []


def test_a_log_that_may_drop_confirms_what_it_cannot_write_and_counts_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_PREDICTION_LOG_WHEN_FULL", "drop")
    settings.cache_clear()
    log = PredictionLog("flight_delay", started_at=START)
    with monkeypatch.context() as full:
        full.setattr(segments, "_sync", _fail)
        log.write([logged("lost"), logged("lost too")]).result(timeout=5)
    assert (log.dropped, log.refuses) == (2, False)
    log.write([logged("kept")]).result(timeout=5)
    log.close()
    assert log.failure is None
    predictions.collect("flight_delay")
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["kept"]


def test_a_share_of_the_answers_is_logged_and_says_which_share(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_PREDICTION_LOG_SHARE", "0.25")
    settings.cache_clear()
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged(f"prediction {n}") for n in range(2000)]).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    kept = predictions.read_predictions("flight_delay")
    assert 400 < kept.height < 600
    assert (1 / kept["share"]).sum() == 4 * kept.height


def test_a_line_that_cannot_be_read_is_kept_apart_and_stops_nothing(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segments_path("flight_delay").mkdir(parents=True)
    lines = [logged("a").model_dump_json().encode(), b"\x00\x00 nonsense", logged("b").model_dump_json().encode(), b""]
    (segments_path("flight_delay") / "gone.jsonl").write_bytes(b"\n".join(lines))
    assert predictions.collect("flight_delay") == 2
    kept_apart = list((segments_path("flight_delay") / "unreadable").iterdir())
    assert [each.read_bytes() for each in kept_apart] == [b"\x00\x00 nonsense\n"]
    assert "cannot be read" in caplog.text
    assert "nonsense" not in caplog.text


def test_collected_predictions_lie_by_day(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged(str(day), START + timedelta(days=day)) for day in range(3)]).result(timeout=5)
    log.close()
    predictions.collect("flight_delay")
    folders = {each.name for each in (home / "tables" / "predictions_flight_delay").glob("day=*")}
    assert folders == {"day=2013-03-01", "day=2013-03-02", "day=2013-03-03"}


@pytest.mark.slow
def test_on_a_full_disk_nothing_is_confirmed_that_is_not_kept_and_freed_space_is_found(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import time
        from esteira.errors import DataError
        from esteira.settings import settings
        from esteira.stores.answers import predictions
        from esteira.stores.answers.prediction_log import PredictionLog
        from tests.stores.answers.test_predictions import START, logged

        ballast = settings().home / "ballast"
        ballast.write_bytes(bytes(3_000_000))
        log = PredictionLog("flight_delay", started_at=START)
        confirmed, n = set(), 0
        while log.failure is None:
            n += 1
            try:
                log.write([logged(f"{n}-{k}") for k in range(50)]).result(timeout=10)
                confirmed |= {f"{n}-{k}" for k in range(50)}
            except DataError as error:
                assert "No space left on device" in str(error), error
        assert n > 3 and log.refuses, n
        for _ in range(3):  # it stays refused, also for an answer so small that it would fit
            time.sleep(0.7)
            assert log.refuses
            try:
                log.write([logged("small")]).result(timeout=10)
                raise SystemExit("a full disk took an answer")
            except DataError:
                pass
        ballast.unlink()
        for _ in range(50):  # without a request
            time.sleep(0.1)
            if not log.refuses:
                break
        log.write([logged("after")]).result(timeout=10)
        log.close()
        predictions.collect("flight_delay")
        kept = predictions.read_predictions("flight_delay")["prediction_id"].to_list()
        assert len(kept) == len(set(kept))
        assert confirmed | {"after"} <= set(kept), sorted(confirmed - set(kept))[:3]
        print("kept", len(kept))
        """
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=4m none {disk} && exec "$@"', "sh"]
    if subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this system does not let a user mount a small disk (unshare -rm)")
    ran = subprocess.run(
        [*mounted, sys.executable, "-c", program],
        env={**os.environ, "ESTEIRA_HOME": str(disk)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("kept")


def test_a_long_segment_is_followed_by_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_SEGMENT_BYTES", 100)
    log = PredictionLog("flight_delay", started_at=START)
    for name in "abc":
        log.write([logged(name)]).result(timeout=5)
    assert len(list(segments_path("flight_delay").glob("*.jsonl"))) == 3
    assert predictions.collect("flight_delay") == 3
    assert len(list(segments_path("flight_delay").glob("*.jsonl"))) == 1
    log.close()


def test_a_segment_that_cannot_be_followed_by_another_refuses_answers_and_writing_recovers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_SEGMENT_BYTES", 100)
    log = PredictionLog("flight_delay", started_at=START)
    log.write([logged("a")]).result(timeout=5)
    with monkeypatch.context() as readonly:
        readonly.setattr(Path, "rename", _fail)
        with pytest.raises(DataError, match="cannot be written"):
            log.write([logged("lost")]).result(timeout=5)
        assert log.failure is not None
    log.write([logged("b")]).result(timeout=5)
    assert log.failure is None
    log.close()
    assert predictions.collect("flight_delay") == 2
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["a", "b"]


def test_a_killed_process_loses_no_answer_it_gave(home: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from esteira.contract import utc
        from esteira.stores.answers.prediction_log import LoggedPrediction, PredictionLog
        moment = utc("2013-03-01")
        log = PredictionLog("flight_delay", started_at=moment)
        for n in range(100_000):
            log.write([LoggedPrediction(
                prediction_id=str(n), use_case="flight_delay", release=1, model_version="m", feature_service="s",
                entity_id="e", as_of=moment, requested_at=moment, horizon=None, source="computed", prediction=0.5,
                decision=True, inputs={}, features={}, event_times={}, created_times={})]).result()
            print(n, flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=dict(os.environ))
    assert process.stdout is not None
    given = [process.stdout.readline() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    given += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    predictions.collect("flight_delay")
    kept = predictions.read_predictions("flight_delay")["prediction_id"].to_list()
    assert len(kept) == len(set(kept))
    assert {line.decode().strip() for line in given if line.endswith(b"\n")} <= set(kept)


def _fail(*_: object) -> None:
    raise OSError(28, "killed here")
