"""A process that runs the belt over the night New York's clocks change, and prints the digest of each of its outputs.

Run by ``test_time_zones.py`` under several process time zones: nothing in it may know which.
"""

import hashlib
import json
import sys
from pathlib import Path

import polars as pl

from esteira import use_cases
from esteira.contract import utc
from esteira.stores.data import statistics, tables
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.model_store import models, training_sets
from esteira.training.labels import upcoming
from esteira.training.learn import feature_frame, score
from esteira.training.recipe import Recipe
from flows import plain
from flows.ingest import ingest
from flows.train import train

NAME, BEFORE, AFTER = "flight_delay", utc("2013-03-09T05:00:00Z"), utc("2013-03-11T17:00:00Z")
FEW_TREES = Recipe(candidate="boosted_trees", parameters={"trees": 60})


def main() -> None:
    found: dict[str, str] = {}
    for moment in (BEFORE, AFTER):
        plain.run(ingest, NAME, moment)
    found |= {name: digest(tables.read(name)) for name in tables.names()}
    reports = (statistics.report(name, AFTER) for name in tables.names())
    # Distances are of sketches, which draw lots: they differ in the second digit from run to run.
    found |= {
        f"checks of {each.table}": repr([(one.column, one.rule, one.outcome, one.rows) for one in each.findings])
        for each in reports
        if each
    }
    trained = plain.run(train, NAME, AFTER, recipe=FEW_TREES)
    found["training set"] = digest(training_sets.load(Path(trained.training_set)))
    found["model"] = trained.challenger
    found["predictions"], found["skew"] = predictions(trained.challenger)
    sys.stdout.write(json.dumps(found))


def predictions(challenger: str) -> tuple[str, str]:
    """What the model says of the entities ahead, and which features differ between the online and the offline path."""
    declared, now = use_cases.get(NAME), AFTER
    ahead = upcoming(declared, declared.build_entities(tables.read_known(declared.entity_reads, now)), as_of=now)
    offline = features.build_training_set(declared.feature_service, ahead)
    online = OnlineFeatures(features.open_store(), declared.feature_service).read(ahead.to_dict(as_series=False), now)
    differing = [name for name, values in online.values.items() if values != offline[name].to_list()]
    model = models.load(NAME, challenger)
    frame = feature_frame(offline, model.card.columns)
    made = score(model.pipeline, frame, kind=declared.kind, bounds=declared.bounds)
    return digest(offline.with_columns(pl.Series("prediction", made))), f"{len(differing)} of {ahead.height} differ"


def digest(rows: pl.DataFrame) -> str:
    text = rows.sort(rows.columns).write_json() if rows.height else str(rows.schema)
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
