"""The service under load, beside an empty endpoint of the same server and a straightforward service.

Run ``python -m benchmarks.serving`` (about six minutes; ``--seconds 1 --rounds 2 --requests 5000`` for a look). It
ingests two months of flights, trains, and starts three services with one worker each. They take turns; times are
medians of rounds, ratios are taken within a round. It prints a table and writes JSON to
``$ESTEIRA_HOME/benchmarks/serving.json``.
"""

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.first_release import NAME, START, ingest, questions, release_first
from benchmarks.load import Seen, closed_loop, open_loop, request
from esteira import use_cases
from esteira.cli.traffic import question
from esteira.settings import child_environment, prepare_environment, settings
from esteira.stores.releases.bentos import wait_ready
from flows.steps.serving import precompute_predictions

SERVICES = {
    "service": "bentos.flight_delay.service:service",
    "empty": "benchmarks.serving_peers:empty",
    "straightforward": "benchmarks.serving_peers:straightforward",
}
HUGE = 200 * 1024 * 1024
NOON = START + timedelta(hours=12)
"""In New York: hundreds of flights are due within the hours in which predictions are computed."""
ASKED = 400
RATE, CONNECTIONS = 300, 16


def main() -> None:
    """Measure, print, write; fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100_000, help="over which memory must stay flat")
    asked = parser.parse_args()
    path = settings().home / "benchmarks" / "serving.json"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.environ["ESTEIRA_HOME"] = folder
        settings.cache_clear()
        prepare_environment(ESTEIRA_CLOCK="belt")
        settings.cache_clear()
        release_first()
        ingest(NOON)
        precompute_predictions.fn(NAME, NOON)
        ports = {name: stack.enter_context(served(name, Path(folder))) for name in SERVICES}
        measured = _measure(ports, bodies(), asked.seconds, asked.rounds)
        measured["open loop"] = [vars(open_loop(ports["service"], bodies()["one"], rate=RATE, seconds=10))]
        memory = _measure_memory(ports["service"], bodies()["one"], asked.requests)
        sync_ms = _sync_ms(Path(folder))
    result = {
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count(),
                    "one_sync_of_the_disk_ms": sync_ms},
        "asked": vars(asked), "measured": measured, "memory": memory, "bars": _bars(measured, memory),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    print(f"Written to {path}")
    if not all(bar["kept"] for bar in result["bars"]):
        raise SystemExit(1)


@contextmanager
def served(name: str, folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", SERVICES[name], "--host", "127.0.0.1", "--port", str(port)]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=child_environment(), stdout=log, stderr=log, start_new_session=True,
            cwd=settings().repository,
        )  # fmt: skip
    try:
        wait_ready(f"http://127.0.0.1:{port}", seconds=300)
        _pids[port] = process.pid
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


_pids: dict[int, int] = {}


def bodies() -> dict[str, list[bytes]]:
    """Requests about flights due so soon that they are computed; of the whole batch for look-ups."""
    declared = use_cases.get(NAME)
    known = questions(declared, NOON, 2_000)
    departs = pl.col("scheduled_departure") - NOON.timestamp()
    soon = known.filter(departs < declared.serving.compute_within.total_seconds()).head(ASKED)
    later = known.filter(departs < timedelta(hours=30).total_seconds()).tail(ASKED)
    asked = [{"flights": question(each, NOON)["flights"]} for each in soon.iter_slices(1)]
    hundred = {"flights": [each["flights"][0] for each in asked[:100]]}
    if len(hundred["flights"]) < 100:
        raise AssertionError("Fewer than 100 flights are due so soon that they are computed.")
    return {
        "one": [request("POST", "/predict", json.dumps(each).encode()) for each in asked],
        "hundred": [request("POST", "/predict", json.dumps(hundred).encode())],
        "cached": [request("GET", f"/cached/{each}") for each in later["flight_id"]],
        "nothing": [request("POST", "/nothing", b"{}")],
    }


def _measure(
    ports: dict[str, int], bodies: dict[str, list[bytes]], seconds: float, rounds: int
) -> dict[str, list[dict[str, float]]]:
    """What each kind of load saw, round by round; the first round warms up and is not kept."""
    loads = {
        "empty, 1": (ports["empty"], bodies["nothing"], 1),
        "predict, 1": (ports["service"], bodies["one"], 1),
        "cached, 1": (ports["service"], bodies["cached"], 1),
        "predict 100, 1": (ports["service"], bodies["hundred"], 1),
        "empty, 16": (ports["empty"], bodies["nothing"], CONNECTIONS),
        "predict, 16": (ports["service"], bodies["one"], CONNECTIONS),
        "straightforward, 16": (ports["straightforward"], bodies["one"], CONNECTIONS),
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
    for turn in range(rounds + 1):
        for name, (port, requests, connections) in loads.items():
            seen = closed_loop(port, requests, connections=connections, seconds=seconds)
            if turn:
                measured[name].append({**vars(seen), "per_second": seen.per_second})
    return measured


def _measure_memory(port: int, requests: list[bytes], count: int) -> dict[str, float]:
    """Resident MB of the worker before and after ``count`` requests, and what a body of 200 MB costs it."""
    worker = max(psutil.Process(_pids[port]).children(recursive=True), key=lambda each: each.memory_info().rss)

    def resident() -> float:
        return float(worker.memory_info().rss / 1e6)

    before = resident()
    asked, halfway = 0, 0.0
    while asked < count:
        seen: Seen = closed_loop(port, requests, connections=CONNECTIONS, seconds=5)
        asked += seen.requests
        if not halfway and asked >= count / 2:
            halfway = resident()
    after = resident()
    refused_ms = _refused_in_ms(port)
    return {
        "before_mb": before, "halfway_mb": halfway, "after_mb": after, "requests": asked, "huge_body_refused_ms":
        refused_ms, "huge_body_growth_mb": resident() - after,
    }  # fmt: skip


def _refused_in_ms(port: int) -> float:
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {HUGE}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        started = time.perf_counter()
        connection.sendall(head.encode() + b"x" * 65536)
        answer = connection.recv(4096)
        took = (time.perf_counter() - started) * 1000
        if b" 413 " not in answer.partition(b"\r\n")[0]:
            raise AssertionError(f"A body of 200 MB was answered with {answer[:80]!r}")
        sent = 65536
        try:  # and a caller who goes on sending is not kept in memory
            while sent < HUGE:
                sent += connection.send(b"x" * 1_000_000)
        except OSError:
            pass
    return took


def _sync_ms(folder: Path) -> float:
    """The median of the disk's own time to keep 3 kB: every answer waits for at least one."""
    taken = []
    with (folder / "sync").open("ab", buffering=0) as file:
        for _ in range(200):
            started = time.perf_counter()
            file.write(b"x" * 3_000)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def _bars(measured: dict[str, list[dict[str, float]]], memory: dict[str, float]) -> list[dict[str, Any]]:
    def ratio(name: str, other: str, figure: str) -> float:
        pairs = zip(measured[name], measured[other], strict=True)
        return statistics.median(each[figure] / beside[figure] for each, beside in pairs)

    growth = memory["after_mb"] - memory["halfway_mb"]
    refused = sum(each["refused"] for rounds in measured.values() for each in rounds)
    wanted = [
        ("predict beside an empty endpoint, p50, 1 connection", ratio("predict, 1", "empty, 1", "p50"), 2.0, "x"),
        ("cached look-up beside an empty endpoint, p50", ratio("cached, 1", "empty, 1", "p50"), 1.2, "x"),
        ("100 entities beside one, p50", ratio("predict 100, 1", "predict, 1", "p50"), 10.0, "x"),
        ("p99 at 300 requests/s, open loop", measured["open loop"][0]["p99"], 25.0, "ms"),
        ("memory of a worker", memory["after_mb"], 600.0, "MB"),
        (f"growth over the second half of {memory['requests']:,} requests", growth, 10.0, "MB"),
        ("a 200 MB body is refused in", memory["huge_body_refused_ms"], 100.0, "ms"),
        ("memory it takes", memory["huge_body_growth_mb"], 50.0, "MB"),
        ("answers that were refused", refused, 0, ""),
    ]
    bars = [
        {"bar": name, "value": value, "wanted": f"<= {most:g} {unit}", "kept": value <= most}
        for name, value, most, unit in wanted
    ]
    times = ratio("predict, 16", "straightforward, 16", "per_second")
    name = "throughput beside the straightforward service, 16 connections"
    return [*bars, {"bar": name, "value": times, "wanted": ">= 5 x", "kept": times >= 5}]


def _print(result: dict[str, Any]) -> None:
    console = Console()
    table = Table("load, connections", "p50 ms", "p99 ms", "requests/s", title="Medians of rounds")
    for name, rounds in result["measured"].items():
        p50, p99 = (statistics.median(each[figure] for each in rounds) for figure in ("p50", "p99"))
        per_second = statistics.median(each["requests"] / each["seconds"] for each in rounds)
        table.add_row(name, f"{p50:.2f}", f"{p99:.2f}", f"{per_second:,.0f}")
    bars = Table("bar", "measured", "wanted", "kept")
    for bar in result["bars"]:
        bars.add_row(bar["bar"], f"{bar['value']:.2f}", bar["wanted"], "yes" if bar["kept"] else "NO")
    console.print(table, bars)
    print(f"The disk keeps 3 kB in {result['machine']['one_sync_of_the_disk_ms']:.2f} ms (median).")


if __name__ == "__main__":
    main()
