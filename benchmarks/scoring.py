"""Batch scoring beside a bare model: a million entities predicted and written, the rest of the belt included.

Run ``python -m benchmarks.scoring`` (``--entities 100000`` for a look). The peer predicts a prepared matrix with
XGBoost's ``inplace_predict`` and writes ids and predictions, to Parquet and to SQLite. Ours starts from joined
features: it encodes, predicts, checks, adds to each prediction what it was made for, how old its features were and
which were missing, and writes all of it to the history (Delta) and to the look-up store (SQLite). Both use one thread
and pieces of the same size. It prints a table and writes JSON to ``$ESTEIRA_HOME/benchmarks/scoring.json``.
"""

import argparse
import json
import os
import platform
import resource
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.first_release import NAME, START, questions, release_first
from esteira import use_cases
from esteira.calibration import uncalibrated
from esteira.contract import EVENT
from esteira.serving.ahead import predict_ahead
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.settings import prepare_environment, settings
from esteira.stores.answers import cached
from esteira.stores.feature_store import features
from esteira.stores.model_store import models
from esteira.training.labels import with_predicted_at
from flows.steps.serving import PIECE


def main() -> None:
    """Measure, print, write; fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=1_000_000)
    asked = parser.parse_args().entities
    path = settings().home / "benchmarks" / "scoring.json"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESTEIRA_HOME"] = folder
        settings.cache_clear()
        prepare_environment(ESTEIRA_CLOCK="belt")
        settings.cache_clear()
        result = _measure(Path(folder), asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    print(f"Written to {path}")
    if not all(bar["kept"] for bar in result["bars"]):
        raise SystemExit(1)


def _measure(folder: Path, asked: int) -> dict[str, Any]:
    release = release_first()
    declared = use_cases.get(NAME)
    model = models.load(NAME, release.model_version)
    predictor = Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, release))
    entities = questions(declared, START, PIECE)
    known = with_predicted_at(entities.with_columns(pl.lit(START).cast(entities.schema[EVENT]).alias(EVENT)))
    service = model.card.feature_service
    joined, times = features.build_training_set(service, known), features.join_times(service, known)
    repeats = -(-PIECE // joined.height)
    joined, times = (pl.concat([each] * repeats).head(PIECE) for each in (joined, times))
    booster = uncalibrated(model.pipeline[-1]).get_booster()
    matrix = predictor._matrix(joined.select(predictor.names).to_dict(as_series=False))

    def ours(count: int) -> None:
        batch = cached.Batch(NAME, f"epoch-{count}", START)
        for start in range(0, count, PIECE):
            piece = _named(joined, declared.entity_id, start).head(count - start)
            batch.write(predict_ahead(declared, predictor, piece, times.head(piece.height)), after=start)
        batch.show()

    def bare(count: int) -> None:
        store = sqlite3.connect(folder / f"bare-{count}.db", isolation_level=None)
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE made (entity TEXT PRIMARY KEY, prediction REAL) WITHOUT ROWID")
        for start in range(0, count, PIECE):
            names = _named(joined, declared.entity_id, start)[declared.entity_id].head(count - start)
            predicted = booster.inplace_predict(matrix[: len(names)], validate_features=False)
            frame = pl.DataFrame({"entity": names, "prediction": predicted.astype(np.float64)})
            frame.write_parquet(folder / f"bare-{count}-{start}.parquet")
            store.execute("BEGIN")
            store.executemany("INSERT INTO made VALUES (?, ?)", frame.iter_rows())
            store.execute("COMMIT")
        store.close()

    seconds: dict[str, float] = {}
    peak_mb = {}
    for count in (asked // 10, asked):
        for name, score in (("bare", bare), ("ours", ours)):
            started = time.perf_counter()
            score(count)
            seconds[f"{name}, {count}"] = time.perf_counter() - started
        peak_mb[count] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = seconds[f"bare, {asked}"] / seconds[f"ours, {asked}"]
    growth = seconds[f"ours, {asked}"] / seconds[f"ours, {asked // 10}"]
    more_mb = peak_mb[asked] - peak_mb[asked // 10]
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "entities": asked, "seconds": seconds, "peak_mb": peak_mb,
        "bars": [
            {"bar": "speed beside the bare model", "value": share, "wanted": ">= 0.5 x", "kept": share >= 0.5},
            {"bar": "ten times the entities take", "value": growth, "wanted": "<= 12 x", "kept": growth <= 12},
            {"bar": "and more memory", "value": more_mb, "wanted": "<= 100 MB", "kept": more_mb <= 100},
        ],
    }  # fmt: skip


def _named(joined: pl.DataFrame, entity_id: str, start: int) -> pl.DataFrame:
    """The piece as entities of its own: names ascend, as those of a real batch do."""
    rows = pl.int_range(start, start + joined.height).cast(pl.String).str.zfill(9)
    return joined.with_columns(rows.alias(entity_id))


def _print(result: dict[str, Any]) -> None:
    table = Table("scored and written", "seconds", "entities/s", title=f"{result['entities']:,} entities")
    for name, taken in result["seconds"].items():
        table.add_row(name, f"{taken:.1f}", f"{int(name.split(', ')[1]) / taken:,.0f}")
    bars = Table("bar", "measured", "wanted", "kept")
    for bar in result["bars"]:
        bars.add_row(bar["bar"], f"{bar['value']:.2f}", bar["wanted"], "yes" if bar["kept"] else "NO")
    Console().print(table, bars)


if __name__ == "__main__":
    main()
