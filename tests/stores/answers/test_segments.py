import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from esteira.errors import DataError
from esteira.stores.answers import predictions, segments
from esteira.stores.answers.prediction_log import PredictionLog, segments_path
from tests.stores.answers.asked import START, fail, logged


@pytest.mark.slow
def test_on_a_full_disk_nothing_is_confirmed_that_is_not_kept_and_freed_space_is_found(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import time
        from esteira.errors import DataError
        from esteira.settings import settings
        from esteira.stores.answers import predictions
        from esteira.stores.answers.prediction_log import PredictionLog
        from tests.stores.answers.asked import START, logged

        ballast = settings().home / "ballast"
        ballast.write_bytes(bytes(3_000_000))
        log = PredictionLog("flight_delay", started_at=START)
        confirmed, n = set(), 0
        while log.failure is None:
            n += 1
            try:
                log.write(logged(*(f"{n}-{k}" for k in range(50)))).result(timeout=10)
                confirmed |= {f"{n}-{k}" for k in range(50)}
            except DataError as error:
                assert "No space left on device" in str(error), error
        assert n > 3 and log.refuses, n
        for _ in range(3):  # it stays refused, also for an answer so small that it would fit
            time.sleep(0.7)
            assert log.refuses
            try:
                log.write(logged("small")).result(timeout=10)
                raise SystemExit("a full disk took an answer")
            except DataError:
                pass
        ballast.unlink()
        for _ in range(50):  # without a request
            time.sleep(0.1)
            if not log.refuses:
                break
        log.write(logged("after")).result(timeout=10)
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
        log.write(logged(name)).result(timeout=5)
    assert len(list(segments_path("flight_delay").glob("*.jsonl"))) == 3
    assert predictions.collect("flight_delay") == 3
    assert len(list(segments_path("flight_delay").glob("*.jsonl"))) == 1
    log.close()


def test_a_segment_that_cannot_be_followed_by_another_refuses_answers_and_writing_recovers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_SEGMENT_BYTES", 100)
    log = PredictionLog("flight_delay", started_at=START)
    log.write(logged("a")).result(timeout=5)
    with monkeypatch.context() as readonly:
        readonly.setattr(Path, "rename", fail)
        with pytest.raises(DataError, match="cannot be written"):
            log.write(logged("lost")).result(timeout=5)
        assert log.failure is not None
    log.write(logged("b")).result(timeout=5)
    assert log.failure is None
    log.close()
    assert predictions.collect("flight_delay") == 2
    assert predictions.read_predictions("flight_delay")["prediction_id"].to_list() == ["a", "b"]


def test_a_killed_process_loses_no_answer_it_gave(home: Path) -> None:
    program = textwrap.dedent(
        """
        from esteira.stores.answers.prediction_log import PredictionLog
        from tests.stores.answers.asked import START, logged

        log = PredictionLog("flight_delay", started_at=START)
        for n in range(100_000):
            log.write(logged(str(n))).result()
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
