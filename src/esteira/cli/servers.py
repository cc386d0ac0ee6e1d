"""Start the programs the belt needs beside it (Prefect server and worker, MLflow, the service) and stop them again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from esteira.errors import EsteiraError
from esteira.settings import child_environment, settings


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

    Its output goes to ``<home>/logs/<name>.log``. The whole process group is stopped at the end, whatever happened.
    Raises EsteiraError when it does not become ready, with the last lines it wrote.
    """
    log = settings().home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command), stdout=output, stderr=subprocess.STDOUT, env=child_environment(**env),
            cwd=settings().repository, start_new_session=True,
        )  # fmt: skip
    try:
        if ready_url is not None:
            _wait_until_ready(process, name, ready_url, seconds, log)
        yield process.pid
    finally:
        _stop(process)


def prefect_server(port: int) -> tuple[list[str], str]:
    """The command that starts a Prefect server on ``port``, and its API's URL."""
    command = [program("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return command, f"http://127.0.0.1:{port}/api"


def prefect_worker(pool: str) -> list[str]:
    """The command that starts a process worker on ``pool``, creating the pool if need be."""
    return [program("prefect"), "worker", "start", "--pool", pool, "--type", "process", "--limit", "1"]


def prefect_deploy() -> list[str]:
    """The command that registers every deployment of prefect.yaml."""
    return [program("prefect"), "--no-prompt", "deploy", "--all"]


def mlflow_server(port: int) -> tuple[list[str], str]:
    """The command that starts MLflow's pages on ``port``, and their URL."""
    command = [
        program("mlflow"), "server", "--backend-store-uri", settings().tracking,
        "--artifacts-destination", str(settings().artifacts_path), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    return command, f"http://127.0.0.1:{port}"


def answers(url: str) -> bool:
    """Whether ``url`` answers with success within two seconds."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def program(name: str) -> str:
    """The path of a program installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def _wait_until_ready(process: subprocess.Popen[bytes], name: str, url: str, seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if answers(url):
            return
        time.sleep(0.2)
    last = "\n  ".join(log.read_text(errors="replace").splitlines()[-8:])
    state = "is still starting" if process.poll() is None else f"ended with code {process.returncode}"
    raise EsteiraError(
        f"{name} {state} after {seconds:.0f} s and does not answer at {url}. It wrote:\n  {last}\nSee {log}."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sign, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
