import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from esteira.errors import EsteiraError
from esteira.stores import processes


def test_a_taken_port_is_not_chosen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert processes.free_port(port) != port


def test_a_program_is_ready_when_it_answers_and_gone_after_the_block(home: Path) -> None:
    port = processes.free_port(0)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with processes.running("files", command, ready_url=url):
        assert processes.answers(url)
    assert not processes.answers(url)


def test_a_program_that_ends_is_reported_with_its_last_words(home: Path) -> None:
    command = [sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"]
    with (
        pytest.raises(EsteiraError, match=r"(?s)broken ended with code 3.*no such thing.*broken\.log"),
        processes.running("broken", command, ready_url="http://127.0.0.1:9"),
    ):
        pass


def test_a_program_with_its_children_does_not_outlive_a_parent_that_was_killed(home: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    child = (
        "import os, subprocess, sys, time; other = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(told)!r}, 'w').write(f'{{os.getpid()}} {{other.pid}}\\n'); time.sleep(60)"
    )
    parent = (
        "import sys, time; from esteira.stores import processes\n"
        "with processes.running('child', [sys.executable, '-c', sys.argv[1]]): time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, child])
    _wait_for(lambda: told.is_file() and told.read_text().endswith("\n"))
    started = [int(each) for each in told.read_text().split()]
    assert all(_lives(each) for each in started)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _wait_for(lambda: not any(_lives(each) for each in started))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # where there is one: nobody may have waited for a dead orphan yet
    return not stat.is_file() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
