"""Programs that are started beside this one, and stopped again whatever happens to it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from esteira.errors import EsteiraError
from esteira.settings import child_environment, settings

_ATTENDED = (
    'exec 3<&0; (trap "" TERM; cat <&3 >/dev/null; kill -TERM 0; sleep 10; kill -KILL 0) & exec "$@" 3<&- </dev/null'
)
"""A shell that leaves a watcher behind and becomes the program. The watcher waits for the end of a pipe that only this
process holds: should it be killed, the pipe ends, and the watcher stops the program's whole group."""


def free_port(preferred: int) -> int:
    """``preferred`` when nothing listens there, otherwise a port the system chooses."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EsteiraError("No port is free on 127.0.0.1. Close some programs and try again.")


@contextmanager
def running(
    name: str, command: Sequence[str], *, ready_url: str | None = None, seconds: float = 120, **env: str
) -> Iterator[int]:
    """Run ``command`` until the block ends; yield its process id once ``ready_url`` answers.

    Its output goes to ``<home>/logs/<name>.log``. Raises EsteiraError when it does not become ready, with the last
    lines it wrote.
    """
    log = settings().home / "logs" / f"{name}.log"
    with started(command, log=log, folder=settings().repository, **env) as process:
        if ready_url is not None:
            _wait_until_ready(process, name, ready_url, seconds, log)
        yield process.pid


@contextmanager
def started(command: Sequence[str], *, log: Path, folder: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` in ``folder`` until the block ends, appending what it writes to ``log``.

    The whole process group is stopped at the end, also when this process is killed meanwhile.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _ATTENDED, "sh", *command], stdin=subprocess.PIPE, stdout=output,
            stderr=subprocess.STDOUT, env=child_environment(**env), cwd=folder, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _stop(process)


def answers(url: str) -> bool:
    """Whether ``url`` answers with success within two seconds."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def last_lines(log: Path, count: int = 8) -> str:
    """The newest lines a program wrote, indented."""
    return "\n  ".join(log.read_text(errors="replace").splitlines()[-count:])


def _wait_until_ready(process: subprocess.Popen[bytes], name: str, url: str, seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if answers(url):
            return
        time.sleep(0.2)
    state = "is still starting" if process.poll() is None else f"ended with code {process.returncode}"
    raise EsteiraError(
        f"{name} {state} after {seconds:.0f} s and does not answer at {url}. It wrote:\n  {last_lines(log)}\nSee {log}."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sign, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            break
        os.killpg(process.pid, sign)
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the watcher, and what a killed program left
    if process.stdin is not None:
        process.stdin.close()
