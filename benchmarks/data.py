"""Ingest with checks, profiles and versions, beside a bare Polars read-and-write of the same tables.

Run: make bench-data. A full year of the flights (337k flights in five tables, weather, planes, airports), then one day
more. What the belt's ingest adds to raw tables is limited to 60 s a year and 3 s a day; computing features comes after
it and is told apart.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

YEAR_LIMIT, DAY_LIMIT = 60.0, 3.0
DAYS = 5


def main() -> None:
    kept = os.environ.get("ESTEIRA_HOME")
    with tempfile.TemporaryDirectory(prefix="esteira-bench-data-") as folder:
        os.environ["ESTEIRA_HOME"] = folder
        figures = measure(Path(folder))
    from esteira.settings import settings

    if kept is None:
        del os.environ["ESTEIRA_HOME"]
    else:
        os.environ["ESTEIRA_HOME"] = kept
    settings.cache_clear()
    target = settings().home / "benchmarks" / "data.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=2))
    print(f"{'':34}{'seconds':>10}{'limit':>8}")
    for name, seconds, limit in (
        ("bare Polars, the year", figures["bare_seconds"], None),
        ("checked ingest, the year", figures["year_seconds"], YEAR_LIMIT),
        ("checked ingest, one day (median)", figures["day_seconds"], DAY_LIMIT),
        ("features of the year", figures["feature_seconds"], None),
    ):
        print(f"{name:34}{seconds:>10.2f}{'' if limit is None else limit:>8}")
    print(f"{figures['rows']:,.0f} rows, {figures['quarantined']:,.0f} quarantined; the checked ingest takes "
          f"{figures['year_seconds'] / figures['bare_seconds']:.1f} times as long as the bare one.")  # fmt: skip
    print(f"kept in {target}")
    if figures["year_seconds"] > YEAR_LIMIT or figures["day_seconds"] > DAY_LIMIT:
        raise SystemExit("Ingest is slower than its limit.")


def measure(folder: Path) -> dict[str, float]:
    from esteira import use_cases
    from esteira.stores import intake, tables
    from flows.steps import data as steps

    use_case = use_cases.get("flight_delay")
    source = use_case.source
    first, last = source.span()  # reads and prepares the files: neither side pays for it
    assert last is not None
    year = last - timedelta(days=DAYS)

    def bare() -> None:
        for table in source.tables:
            rows = source.read(table.name, first - timedelta(microseconds=1), year)
            rows.write_parquet(folder / f"{table.name}.parquet")

    def ingest(until: object) -> int:
        return sum(
            report.quarantined
            for table in source.tables
            for report in intake.take_in(source, table, until)  # type: ignore[arg-type]
        )

    bare_seconds = statistics.median(timed(bare) for _ in range(3))
    found: list[int] = []
    year_seconds = timed(lambda: found.append(ingest(year)))
    feature_seconds = timed(lambda: steps.append_features.fn(use_case.name, year))
    day_seconds = statistics.median(
        timed(lambda day=day: found.append(ingest(year + timedelta(days=day)))) for day in range(1, DAYS + 1)
    )
    return {
        "rows": float(sum(tables.row_count(table.name) for table in source.tables)),
        "quarantined": float(sum(found)),
        "bare_seconds": bare_seconds,
        "year_seconds": year_seconds,
        "day_seconds": day_seconds,
        "feature_seconds": feature_seconds,
    }


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
