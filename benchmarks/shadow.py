"""What a challenger in the shadow costs the callers of the champion, beside the same service without one.

Run ``python -m benchmarks.shadow`` (about five minutes, most of them to prepare; ``--seconds 1 --rounds 2`` for
a look). One service with one worker; turn by turn it has a challenger in its shadow or none, changed live through the
ledger. Each ratio is taken within a round, and the order of the two changes from round to round. It prints a table and
writes JSON to ``$ESTEIRA_HOME/benchmarks/shadow.json``.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.first_release import NAME, ingest, release_first
from benchmarks.load import Seen, closed_loop, open_loop
from benchmarks.serving import NOON, bodies, served
from esteira.settings import prepare_environment, settings
from esteira.stores.model_store import models
from esteira.stores.releases import ledger, traffic

BAR = 1.05
RATES = (50, 150)
"""Requests a second, about one entity each, in an open loop: callers do not wait for each other."""


def main() -> None:
    """Measure, print, write; fails when the bar is missed or the shadow did not do its work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    path = settings().home / "benchmarks" / "shadow.json"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESTEIRA_HOME"] = folder
        settings.cache_clear()
        prepare_environment(ESTEIRA_CLOCK="belt")
        settings.cache_clear()
        release = release_first()
        ingest(NOON)
        model = models.load(NAME, release.model_version)
        models.save(model.pipeline, model.card.model_copy(update={"version": "twin"}), model.attachments)
        with served("service", Path(folder)) as port:
            measured, shadowed = _measure(port, asked.seconds, asked.rounds)
    bars = {name: statistics.median(each["p99 ratio"] for each in rounds) for name, rounds in measured.items()}
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    result = {"machine": machine, "asked": vars(asked), "measured": measured, "p99 ratio": bars, "shadowed": shadowed}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    _print(measured, shadowed)
    print(f"Written to {path}")
    if max(bars.values()) > BAR or shadowed["logged"] == 0 or shadowed["failed"] or shadowed["dropped"]:
        raise SystemExit(1)


def _measure(port: int, seconds: float, rounds: int) -> tuple[dict[str, list[dict[str, float]]], dict[str, float]]:
    """Load -> what each round saw without and with the shadow; the first round warms up. And what the shadow did."""
    requests = bodies()["one"]
    loads: dict[str, Any] = {
        "1 connection": lambda: closed_loop(port, requests, connections=1, seconds=seconds),
        **{
            f"{rate} requests/s": lambda rate=rate: open_loop(port, requests, rate=rate, seconds=seconds)
            for rate in RATES
        },
    }
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
    for turn in range(rounds + 1):
        order = (False, True) if turn % 2 else (True, False)
        seen: dict[bool, dict[str, Seen]] = {}
        for with_shadow in order:
            _change(port, with_shadow)
            seen[with_shadow] = {name: load() for name, load in loads.items()}
        for name, rounds_seen in measured.items():
            without, beside = seen[False][name], seen[True][name]
            if turn:
                rounds_seen.append(
                    {"p50": without.p50, "p50 shadow": beside.p50, "p99": without.p99, "p99 shadow": beside.p99,
                     "p50 ratio": beside.p50 / without.p50, "p99 ratio": beside.p99 / without.p99,
                     "refused": without.refused + beside.refused}
                )  # fmt: skip
    time.sleep(2)  # for what waits still
    return measured, _shadowed(port)


def _change(port: int, with_shadow: bool) -> None:
    """Turn the shadow on or off, and wait until the service has followed."""
    said: dict[str, Any] = {"actor": "benchmark", "reason": "to compare", "at": NOON}
    live = ledger.live(NAME)
    if with_shadow == (live.traffic is not None):
        return
    changed = traffic.shadow(NAME, "twin", **said) if with_shadow else traffic.stop(NAME, **said)
    while httpx.get(f"http://127.0.0.1:{port}/readyz").json()["release"] != changed.id:
        time.sleep(0.1)
    time.sleep(1)  # what the other left waiting


def _shadowed(port: int) -> dict[str, float]:
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    counts = {"logged": 0.0, "failed": 0.0, "dropped": 0.0}
    for line in lines:
        if line.startswith("esteira_shadow_total{"):
            counts[line.partition('"')[2].partition('"')[0]] = float(line.rpartition(" ")[2])
    return counts


def _print(measured: dict[str, list[dict[str, float]]], shadowed: dict[str, float]) -> None:
    table = Table("load", "p50 ms", "shadow", "p99 ms", "shadow", "p99 ratio", "of rounds", title="Medians of rounds")
    for name, rounds in measured.items():
        middle = {figure: statistics.median(each[figure] for each in rounds) for figure in rounds[0]}
        ratios = [each["p99 ratio"] for each in rounds]
        table.add_row(
            name, f"{middle['p50']:.2f}", f"{middle['p50 shadow']:.2f}", f"{middle['p99']:.2f}",
            f"{middle['p99 shadow']:.2f}", f"{middle['p99 ratio']:.3f}", f"{min(ratios):.2f} to {max(ratios):.2f}",
        )  # fmt: skip
    Console().print(table)
    print(f"In the shadow: {shadowed}. Bar: a p99 ratio of at most {BAR}.")


if __name__ == "__main__":
    main()
