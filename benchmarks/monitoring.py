"""Profiling speed: ours against whylogs as it comes, on the same 25 columns of 100,000 rows; and merging a year.

Run: python benchmarks/monitoring.py. The figures are printed and kept under the belt's home, in benchmarks/.
"""

import json
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import polars as pl

from esteira.model_card import Column
from esteira.monitoring.profile import build_profile, merge, read_profile  # first: it makes whylogs work on numpy 2
from esteira.settings import settings

T = TypeVar("T")

ROWS, NUMBERS, CATEGORIES, HOURS, ROWS_AN_HOUR = 100_000, 20, 5, 8760, 40


def main() -> None:
    import whylogs

    rng = np.random.default_rng(2013)
    frame = pl.DataFrame(
        {
            **{f"number_{each}": rng.normal(size=ROWS) for each in range(NUMBERS)},
            **{f"category_{each}": rng.integers(0, 30, ROWS).astype(str) for each in range(CATEGORIES)},
        }
    )
    columns = [
        Column(name=name, type="number" if name.startswith("number") else "category", view="benchmark")
        for name in frame.columns
    ]
    plain_frame = frame.to_pandas()
    plain_seconds, _ = _best(lambda: whylogs.log(plain_frame), times=2)
    ours_seconds, profile = _best(lambda: build_profile(frame, columns), times=5)

    points = np.linspace(-3, 3, 61)
    values = frame["number_0"].to_numpy()
    exact = np.array([(values <= point).mean() for point in points])
    error = float(np.abs(read_profile(profile).column("number_0").cdf(points) - exact).max())

    hours = [build_profile(frame.slice(hour % 2000 * ROWS_AN_HOUR, ROWS_AN_HOUR), columns) for hour in range(HOURS)]
    merge_seconds, year = _best(lambda: merge(hours), times=1)
    if read_profile(year).rows != HOURS * ROWS_AN_HOUR:
        raise SystemExit("The merged year has lost rows.")

    figures = {
        "rows": ROWS,
        "columns": len(columns),
        "plain_rows_per_second": ROWS / plain_seconds,
        "ours_rows_per_second": ROWS / ours_seconds,
        "times_faster": plain_seconds / ours_seconds,
        "largest_error_of_a_share": error,
        "profile_bytes": len(profile),
        "hours_merged": HOURS,
        "merge_seconds": merge_seconds,
    }
    target = settings().home / "benchmarks" / "monitoring.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=2))
    print(f"whylogs as it comes  {figures['plain_rows_per_second']:>12,.0f} rows/s")
    print(
        f"build_profile        {figures['ours_rows_per_second']:>12,.0f} rows/s, "
        f"{figures['times_faster']:.0f} times as fast"
    )
    print(f"shares are right within {error:.2%}; a profile takes {len(profile) / 1024:,.0f} KB")
    print(f"merging {HOURS:,} hours takes {merge_seconds:.1f} s")
    print(f"kept in {target}")


def _best(work: Callable[[], T], *, times: int) -> tuple[float, T]:
    """The shortest of a few runs, because other work on the machine only ever adds."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        result = work()
        found.append(time.perf_counter() - started)
    return min(found), result


if __name__ == "__main__":
    main()
