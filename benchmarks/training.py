"""Training beside bare XGBoost on the prepared matrix, and one training flow end to end, on the flights of a year.

Run it with ``make bench-training`` (or ``python -m benchmarks.training --until 2013-04-01``). It ingests into a home of
its own, prints a table and writes JSON to ``$ESTEIRA_HOME/benchmarks/training.json``. Ours and bare XGBoost take turns,
with the same parameters, rows and threads; ours starts from the training set's rows and ends with a fitted pipeline.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from esteira.contract import EVENT, UseCase, utc
from esteira.settings import prepare_environment, settings

USE_CASE = "flight_delay"
MOST_RATIO, MOST_SECONDS = 1.3, 60.0
"""How much longer than bare XGBoost a fit may take, and how long a whole training flow, on two cores."""


def main() -> None:
    """Measure, print, write; ends with a failure when a limit is not kept."""
    options = argparse.ArgumentParser()
    options.add_argument("--until", default="2014-01-01", help="train on what was known then")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    target = settings().home / "benchmarks" / "training.json"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESTEIRA_HOME"] = folder
        settings.cache_clear()
        prepare_environment(PREFECT_LOGGING_LEVEL="ERROR", PREFECT_LOGGING_TO_API_ENABLED="false")
        warnings.filterwarnings("ignore")
        result = {
            "machine": {"system": platform.platform(), "cores": os.cpu_count(), "threads": settings().threads},
            **_measure(utc(chosen.until), chosen.rounds),
            "limits": {"fit_ratio": MOST_RATIO, "flow_seconds": MOST_SECONDS},
        }
    _print(result)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1))
    if result["fit"]["ratio"] > MOST_RATIO or result["flow"]["seconds"] > MOST_SECONDS:
        raise SystemExit(1)


def _measure(as_of: Any, rounds: int) -> dict[str, Any]:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    from esteira import use_cases
    from esteira.stores.model_store import training_sets
    from flows.ingest import ingest
    from flows.train import train

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        ingest(USE_CASE, as_of)
        started = time.perf_counter()
        trained = train(USE_CASE, as_of)
        seconds = time.perf_counter() - started
    rows = training_sets.load(settings().training_sets_path / USE_CASE / os.path.basename(trained.training_set))
    return {
        "flow": {"seconds": round(seconds, 1), "rows": rows.height, "sentences": trained.sentences},
        "fit": _measure_fit(use_cases.get(USE_CASE), rows, rounds),
    }


def _measure_fit(use_case: UseCase, rows: pl.DataFrame, rounds: int) -> dict[str, Any]:
    from esteira.calibration import uncalibrated
    from esteira.stores.feature_store import features
    from esteira.training.labels import OUTCOME
    from esteira.training.learn import Where, feature_frame, fit_entrant
    from esteira.training.recipe import declared

    columns = features.service_columns(use_case.feature_service)
    entrant = next(each for each in declared(use_case.candidates) if each.name == "boosted_trees")
    where = Where(seed=settings().seed, threads=settings().threads, device=settings().device)
    ordered = rows.sort(EVENT, maintain_order=True)
    unfitted = entrant.candidate.build(seed=where.seed, threads=where.threads, device="cpu", **entrant.parameters)
    matrix = unfitted[0].fit(feature_frame(ordered, columns)).transform(feature_frame(ordered, columns))
    outcomes = ordered[OUTCOME].to_numpy().astype(np.int64)

    def bare() -> Any:
        from sklearn.base import clone

        return clone(unfitted[-1]).fit(matrix, outcomes)

    def ours() -> Any:
        return fit_entrant(use_case, entrant, ordered, columns, where)[-1]

    models = [uncalibrated(each()) for each in (bare, ours)]  # also warms both up
    if len({bytes(each.get_booster().save_raw("ubj")) for each in models}) != 1:
        raise AssertionError("The two did not learn the same trees: the figures would compare different work.")
    taken: dict[str, list[float]] = {"bare XGBoost on the prepared matrix": [], "from rows to fitted pipeline": []}
    for _ in range(rounds):
        for name, fit in zip(taken, (bare, ours), strict=True):
            taken[name].append(_seconds(fit))
    medians = {name: round(statistics.median(each), 2) for name, each in taken.items()}
    first, second = medians.values()
    return {"rows": ordered.height, "columns": len(columns), "seconds": medians, "ratio": round(second / first, 3)}


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _print(result: dict[str, Any]) -> None:
    fit, flow = result["fit"], result["flow"]
    table = Table("what", "seconds (median)", "limit", title=f"{fit['rows']:,} rows x {fit['columns']} features")
    for name, seconds in fit["seconds"].items():
        table.add_row(name, f"{seconds:.2f}", "")
    table.add_row("ratio", f"{fit['ratio']:.2f}", f"{MOST_RATIO}")
    table.add_row(f"train flow, end to end, {flow['rows']:,} rows", f"{flow['seconds']:.1f}", f"{MOST_SECONDS:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
