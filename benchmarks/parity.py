"""The parity proof at full size: 10,000 served requests, replayed offline and compared value by value.

Run ``python -m benchmarks.parity``. It ingests two months of flights, trains, asks ten times about a thousand flights
each while the belt moves on, and audits what was logged. It prints a table and writes JSON to
``$ESTEIRA_HOME/benchmarks/parity.json``; the belt itself lives in a temporary home.
"""

import asyncio
import json
import os
import platform
import resource
import tempfile
import time
from datetime import timedelta
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.first_release import NAME, START, ingest, questions, release_first
from esteira import use_cases
from esteira.contract import CREATED, EVENT, UseCase
from esteira.settings import prepare_environment, settings
from esteira.stores.answers import predictions
from esteira.stores.releases.live import Live
from flows.steps.parity import Skew, audit_skew

STOPS, EACH, EVERY = 10, 1_000, timedelta(hours=14)
BAR_SECONDS = 60


def main() -> None:
    """Measure, print, write."""
    path = settings().home / "benchmarks" / "parity.json"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESTEIRA_HOME"] = folder
        settings.cache_clear()
        prepare_environment(ESTEIRA_CLOCK="belt")
        settings.cache_clear()
        served = _serve(use_cases.get(NAME))
        started, worked = time.perf_counter(), time.process_time()
        found = audit_skew.fn(NAME, START + STOPS * EVERY)
        seconds, processor = time.perf_counter() - started, time.process_time() - worked
    result = {
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "served": served,
        "audited": found.rows,
        "values": found.values,
        "unexplained": found.unexplained,
        "explained": sum(count for columns in found.counts.values() for count in columns.values()) - found.unexplained,
        "seconds": seconds,
        "processor_seconds": processor,
        "bar_seconds": BAR_SECONDS,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    _print(result, found)
    print(f"Written to {path}")


def _serve(declared: UseCase) -> int:
    """Release a first model, then let the belt move on and ask; return how many predictions were logged."""
    release_first()
    live = Live(declared, lambda _: _questions(declared, START).head(1).to_dict(as_series=False))
    live.start()
    try:
        for stop in range(STOPS):
            moment = START + (stop + 1) * EVERY
            ingest(moment)
            columns = _questions(declared, moment).with_columns(predicted_at=pl.lit(int(moment.timestamp())))
            asked, given = columns[declared.entity_id].to_list(), columns.to_dict(as_series=False)
            asyncio.run(live.predict(asked, lambda _, given=given: given, as_of=moment))  # type: ignore[misc]
    finally:
        live.stop()
    return predictions.collect(NAME)


def _questions(declared: UseCase, moment: Any) -> pl.DataFrame:
    return questions(declared, moment, EACH).drop(EVENT, CREATED)


def _print(result: dict[str, Any], found: Skew) -> None:
    table = Table("requests replayed", "values compared", "unexplained", "seconds", "processor", "bar", "peak memory")
    table.add_row(
        f"{result['audited']:,}", f"{result['values']:,}", f"{result['unexplained']:,}", f"{result['seconds']:.1f}",
        f"{result['processor_seconds']:.1f}", f"≤ {BAR_SECONDS}", f"{result['peak_gb']:.2f} GB",
    )  # fmt: skip
    Console().print(table, *found.sentences, sep="\n")


if __name__ == "__main__":
    main()
