"""Every flow on invented flights, where nobody may have the real ones."""

import json
from pathlib import Path

import pytest

from esteira import use_cases
from esteira.contract import utc
from esteira.settings import settings
from esteira.stores.data import synthetic
from esteira.training.recipe import Recipe
from flows import plain
from flows.ingest import ingest
from flows.monitor import monitor
from flows.precompute import precompute
from flows.retain import retain
from flows.train import train
from flows.validate import validate

NAME, AS_OF = "flight_delay", utc("2013-03-14T17:00:00Z")
FEW_TREES = Recipe(candidate="boosted_trees", parameters={"trees": 60})


@pytest.mark.slow
def test_every_flow_runs_on_invented_data_and_a_model_learns_from_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = synthetic.write(use_cases.get(NAME).source, tmp_path / "invented", seed=1, days=75)
    monkeypatch.setenv("ESTEIRA_SOURCE_LOCATIONS", json.dumps({"flights": str(folder)}))
    monkeypatch.setenv("ESTEIRA_CLOCK", "belt")
    settings.cache_clear()
    assert plain.run(ingest, NAME, AS_OF).quarantined_rows == {}
    trained = plain.run(train, NAME, AS_OF, recipe=FEW_TREES)
    validated = plain.run(validate, NAME, AS_OF, challenger=trained.challenger)
    assert validated.release is not None, validated.verdict.sentences
    assert plain.run(precompute, NAME, AS_OF).entities > 100
    plain.run(monitor, NAME, AS_OF)
    plain.run(retain, NAME, AS_OF)
