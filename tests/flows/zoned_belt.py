"""A process that runs the belt over the night New York's clocks change, and prints the digest of each of its outputs.

Run by ``test_time_zones.py`` under several process time zones: nothing in it may know which.
"""

import asyncio
import hashlib
import json
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl

from esteira import use_cases
from esteira.contract import CREATED, EVENT, utc
from esteira.stores import clock
from esteira.stores.answers import predictions
from esteira.stores.data import statistics, tables
from esteira.stores.model_store import training_sets
from esteira.stores.releases.live import Live
from esteira.training.recipe import Recipe
from flows import plain
from flows.ingest import ingest
from flows.precompute import precompute
from flows.steps.parity import audit_skew
from flows.train import train
from flows.validate import validate

NAME, BEFORE, AFTER = "flight_delay", utc("2013-03-09T05:00:00Z"), utc("2013-03-11T17:00:00Z")
FEW_TREES = Recipe(candidate="boosted_trees", parameters={"trees": 60})
WALL = ("prediction_id", "requested_at", "logged_at", "trace_id", "epoch", "latency_ms")
"""Columns that differ from run to run by their nature."""


def main() -> None:
    found: dict[str, str] = {}
    for moment in (BEFORE, AFTER):
        plain.run(ingest, NAME, moment)
    found |= {name: digest(tables.read(name)) for name in tables.names()}
    reports = (statistics.report(name, AFTER) for name in tables.names())
    found |= {f"checks of {each.table}": repr(each) for each in reports if each}
    trained = plain.run(train, NAME, AFTER, recipe=FEW_TREES)
    found["training set"] = digest(training_sets.load(Path(trained.training_set)))
    found["model"] = trained.challenger
    validated = plain.run(validate, NAME, AFTER, challenger=trained.challenger)
    found["verdict"] = str(validated.verdict.sentences)
    plain.run(precompute, NAME, AFTER)
    found["predictions made ahead"] = digest(tables.read(f"cached_predictions_{NAME}"))
    found["answers"] = digest(answers())
    found["skew"] = audit_skew.fn(NAME, AFTER).headline
    sys.stdout.write(json.dumps(found))


def digest(rows: pl.DataFrame) -> str:
    kept = rows.drop(WALL, strict=False)
    text = kept.sort(kept.columns).write_json() if kept.height else str(kept.schema)
    return hashlib.sha256(text.encode()).hexdigest()


def answers() -> pl.DataFrame:
    """What a service answers about the flights of the next twelve hours, as it was logged."""
    declared = use_cases.get(NAME)
    now = clock.horizon(declared)
    known = declared.build_entities(tables.read_known(declared.entity_reads, now))
    due = known.filter((pl.col(EVENT) > now) & (pl.col(EVENT) <= now + timedelta(hours=12)))
    columns = due.drop(EVENT, CREATED).with_columns(predicted_at=pl.lit(int(now.timestamp())))
    live = Live(declared, lambda _: columns.head(1).to_dict(as_series=False))
    live.start()
    try:
        asked = columns[declared.entity_id].to_list()
        asyncio.run(live.predict(asked, lambda _: columns.to_dict(as_series=False), as_of=now))
    finally:
        live.stop()
    predictions.collect(NAME)
    return predictions.read_predictions(NAME)


if __name__ == "__main__":
    main()
