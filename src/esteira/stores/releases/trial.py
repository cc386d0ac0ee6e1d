"""A bento on trial: started as it would serve, in a home of its own, asked golden requests, watched and stopped.

The home has a ledger in which the proposal is live, and the real tables and feature store, which a service only reads.
Its log and its cache are thrown away with it.
"""

import fcntl
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from esteira.settings import settings
from esteira.stores import processes
from esteira.stores.releases import bentos, ledger
from esteira.stores.releases.bentos import BuiltBento
from esteira.training.golden import GoldenRequests
from esteira.training.service_check import Observed

_WARM = 40
_REQUESTS, _LEAST = 400, 10
_SECONDS = 10.0
"""However slow the service is, it is not asked for longer, but every golden request once."""
_ANSWER_SECONDS = 10.0
_MB = 1024 * 1024


def observe(bento: BuiltBento, proposal: ledger.Proposal, golden: GoldenRequests, *, most_seconds: float) -> Observed:
    """Start ``bento`` on a free port, wait at most ``most_seconds``, ask it, and stop it, whatever happens.

    What goes wrong is observed, not raised.
    """
    with _home(proposal) as home:
        port = processes.free_port(0)
        url, log = f"http://127.0.0.1:{port}", home / "service.log"
        command = bentos.serve_command(str(bento.path), host="127.0.0.1", port=port)
        began = time.monotonic()
        with processes.started(command, log=log, folder=home, **_environment(proposal.use_case, home)) as process:
            failure = _wait(process, url, log, most_seconds)
            start_seconds = time.monotonic() - began
            if failure is not None:
                return Observed(start_seconds=start_seconds, failure=failure)
            if not _is_ours(process, port):
                return Observed(start_seconds=start_seconds, failure=f"another program answers at port {port}")
            return _ask(process, url, log, golden, start_seconds)


def _ask(
    process: subprocess.Popen[bytes], url: str, log: Path, golden: GoldenRequests, start_seconds: float
) -> Observed:
    questions = [_question(golden, place) for place in range(golden.rows)]
    answers: list[Any] = []
    latencies: list[float] = []
    seen: list[float] = []
    failure = None
    with httpx.Client(base_url=url, timeout=_ANSWER_SECONDS) as client:
        try:
            until = time.monotonic() + _SECONDS
            for place in range(max(_WARM, len(questions))):  # the first round is also what is compared
                answer = client.post("/predict_features", json=questions[place % len(questions)])
                if place < len(questions):
                    answers.append(_one(answer))
                elif time.monotonic() > until:
                    break
            seen.append(_memory(process))
            for place in range(_REQUESTS):
                started = time.perf_counter()
                client.post("/predict_features", json=questions[place % len(questions)])
                latencies.append((time.perf_counter() - started) * 1000)
                if time.monotonic() > until and place >= _LEAST:
                    break
            seen.append(_memory(process))
        except httpx.HTTPError as error:
            failure = f"it stopped answering ({type(error).__name__}). {_words(log)}"
    return Observed(
        start_seconds=start_seconds, failure=failure, latencies_ms=tuple(latencies), memory_mb=max(seen, default=0.0),
        growth_mb=seen[-1] - seen[0] if seen else 0.0, answers=tuple(answers),
    )  # fmt: skip


def _question(golden: GoldenRequests, place: int) -> dict[str, Any]:
    features = {name: values[place] for name, values in golden.values.items() if values[place] is not None}
    keys = {name: values[place] for name, values in golden.given.items()}
    return {"rows": [{"name": f"golden-{place}", "features": features, "keys": keys}]}


def _one(answer: httpx.Response) -> Any:
    """The one answer in a response, NaN and infinity included; the text where there is no such answer."""
    try:
        (only,) = json.loads(answer.text)["predictions"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text}"
    return only


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, most_seconds: float) -> str | None:
    """Why the service does not become ready; None when it does. A service on trial is refused at its first no."""
    deadline = time.monotonic() + most_seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"it ended with code {process.returncode}. {_words(log)}"
        if _gave_up(log):
            return f"it cannot start. {_words(log)}"
        try:
            health = httpx.get(f"{url}/readyz", timeout=2)
        except httpx.HTTPError:
            time.sleep(0.1)
            continue
        return None if health.is_success else " ".join(health.json().get("troubles", [health.text]))
    return f"it was not ready in time. {_words(log)}"


def _gave_up(log: Path) -> bool:
    # BentoML starts a worker again for ever that fails while it starts.
    return "Application startup failed" in log.read_text(errors="replace")


def _words(log: Path) -> str:
    """What the program said of its end: the last lines that name an error, or else the last ones."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line.split(":")[0] or "No module named" in line]
    return f"It wrote: {' / '.join((errors or lines)[-3:])}"


def _memory(process: subprocess.Popen[bytes]) -> float:
    return float(max(each.memory_info().rss for each in _family(process))) / _MB


def _is_ours(process: subprocess.Popen[bytes], port: int) -> bool:
    # Something answers; it must be what was started, not a program that took the port first.
    return any(
        connection.laddr and connection.laddr.port == port
        for each in _family(process)
        for connection in each.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    )


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


@contextmanager
def _home(proposal: ledger.Proposal) -> Iterator[Path]:
    trials = settings().home / "trials"
    trials.mkdir(parents=True, exist_ok=True)
    home = trials / uuid4().hex
    with home.with_suffix(".held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _remove_abandoned(trials)
        home.mkdir()
        try:
            for shared in (settings().tables_path, settings().feast_path):
                shared.mkdir(parents=True, exist_ok=True)
                (home / shared.name).symlink_to(shared, target_is_directory=True)
            ledger.rehearse(proposal, f"sqlite:///{home / 'ledger.db'}")
            yield home
        finally:
            shutil.rmtree(home)
            home.with_suffix(".held").unlink()


def _remove_abandoned(trials: Path) -> None:
    """Remove homes whose check was killed: nobody holds their lock any more."""
    for lock in trials.glob("*.held"):
        with lock.open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)


def _environment(use_case: str, home: Path) -> dict[str, str]:
    return {
        "BENTOML_CONFIG_OPTIONS": bentos.serve_environment(use_case)["BENTOML_CONFIG_OPTIONS"],
        "ESTEIRA_HOME": str(home),
        "ESTEIRA_LEDGER_URL": "",  # SQLite in this home
        "ESTEIRA_SERVICE_KEYS": "except_loopback",
        "ESTEIRA_PREDICTION_LOG_SHARE": "1",
        "BENTOML_HOME": str(home / "bentoml"),
    }
