"""Ingest with checks, profiles and versions, beside a bare Polars read-and-write of the same raw tables.

Run ``python -m benchmarks.data``, or with ``--weeks 4`` for a small one: a year of the flights (337k flights in five
raw tables, weather, planes, airports), then one day more, five times. The limits hold for the whole offline ingest:
raw tables checked, profiled and committed, and all feature tables computed. Prints a table; writes JSON.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from esteira import use_cases
from esteira.settings import settings
from esteira.stores.data import tables
from flows.steps import data as steps

T = TypeVar("T")
YEAR_LIMIT, DAY_LIMIT = 60.0, 3.0
DAYS = 5


def main(weeks: Annotated[int, typer.Option(help="How much to ingest; 0 is all but the last days.")] = 0) -> None:
    target = settings().home / "benchmarks" / "data.json"
    with tempfile.TemporaryDirectory(prefix="esteira-bench-data-") as folder:
        os.environ["ESTEIRA_HOME"] = folder
        settings.cache_clear()
        figures = measure(Path(folder), weeks)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=2))
    told = Table("", "seconds", "limit")
    for name, key, limit in (
        ("bare Polars: read and write the raw tables", "bare_seconds", None),
        ("raw tables: checked, profiled, committed", "raw_seconds", None),
        ("whole offline ingest, features with it", "whole_seconds", YEAR_LIMIT),
        ("the same for one day more (median)", "day_seconds", DAY_LIMIT),
    ):
        told.add_row(name, f"{figures[key]:.2f}", "" if limit is None else f"{limit:.0f}")
    console = Console()
    console.print(told)
    ratio = figures["raw_seconds"] / figures["bare_seconds"]
    console.print(
        f"{figures['rows']:,.0f} raw rows, {figures['quarantined']:.0f} quarantined; checked raw tables take "
        f"{ratio:.1f} times as long as bare ones. Kept in {target}",
        highlight=False,
    )
    if figures["whole_seconds"] > YEAR_LIMIT or figures["day_seconds"] > DAY_LIMIT:
        raise SystemExit("Ingest is slower than its limit.")


def measure(folder: Path, weeks: int) -> dict[str, float]:
    use_case = use_cases.get("flight_delay")
    source = use_case.source
    first, last = source.span()  # reads and prepares the files: neither side pays for it
    assert last is not None
    until = first + timedelta(weeks=weeks) if weeks else last - timedelta(days=DAYS)

    def bare() -> None:
        for table in source.tables:
            rows = source.read(table.name, first - timedelta(microseconds=1), until)
            rows.write_parquet(folder / f"{table.name}.parquet")

    def raw(moment: datetime) -> int:
        return sum(each.quarantined for each in steps.append_raw.fn(use_case.name, moment))

    def whole(moment: datetime) -> None:
        raw(moment)
        steps.append_features.fn(use_case.name, moment)

    bare_seconds = statistics.median(timed(bare)[0] for _ in range(3))
    raw_seconds, quarantined = timed(lambda: raw(until))
    feature_seconds, _ = timed(lambda: steps.append_features.fn(use_case.name, until))
    rows = sum(tables.row_count(table.name) for table in source.tables)
    days = [until + timedelta(days=day) for day in range(1, DAYS + 1)]
    return {
        "rows": float(rows),
        "quarantined": float(quarantined),
        "bare_seconds": bare_seconds,
        "raw_seconds": raw_seconds,
        "whole_seconds": raw_seconds + feature_seconds,
        "day_seconds": statistics.median(timed(lambda day=day: whole(day))[0] for day in days),  # type: ignore[misc]
    }


def timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    made = work()
    return time.perf_counter() - started, made


if __name__ == "__main__":
    typer.run(main)
