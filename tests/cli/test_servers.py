import socket
import sys
from pathlib import Path

import pytest

from esteira.cli import servers
from esteira.errors import EsteiraError


def test_a_taken_port_is_not_chosen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert servers.free_port(port) != port


def test_a_program_is_ready_when_it_answers_and_gone_after_the_block(home: Path) -> None:
    port = servers.free_port(0)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with servers.running("files", command, ready_url=url):
        assert servers.answers(url)
    assert not servers.answers(url)


def test_a_program_that_ends_is_reported_with_its_last_words(home: Path) -> None:
    command = [sys.executable, "-c", "print('no such thing'); raise SystemExit(3)"]
    with (
        pytest.raises(EsteiraError, match=r"(?s)broken ended with code 3.*no such thing.*broken\.log"),
        servers.running("broken", command, ready_url="http://127.0.0.1:9"),
    ):
        pass
