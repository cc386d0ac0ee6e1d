"""Following a prediction back and data forward, over real stores with small contents."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import utc
from esteira.errors import InputError, MissingData, UnknownName
from esteira.settings import settings
from esteira.stewardship.audit_chain import Deed
from esteira.stewardship.lineage import Thing, mermaid
from esteira.stores import audit, lineage
from esteira.stores.answers import predictions
from esteira.stores.answers.prediction_log import LoggedAnswers, PredictionLog
from esteira.stores.data import tables
from esteira.stores.feature_store import repository
from esteira.stores.model_store import cards, models
from esteira.stores.releases import traffic
from tests.serving.models import card, xgboost_pipeline
from tests.stores.releases.test_traffic import NAME, WHY, judge, release

MOMENT = utc("2013-03-04T12:00:00Z")


@pytest.fixture
def belt(home: Path) -> Path:
    """Two versions of a table, a champion that read the first, a challenger of the second, and what they said."""
    _remember_restricted()
    for day in (1, 2):
        rows = pl.DataFrame({"n": [day]})
        tables.append("flights", rows, until=utc(f"2013-03-0{day}"))
    pipeline = xgboost_pipeline()
    for version, read in (("m1", 0), ("m2", 1)):
        facts = {"data_versions": {"flights": read}, "code_commit": "c0ffee", "lock_sha256": "10c4", "run_id": "run7"}
        models.save(pipeline, card(version=version, training_set_sha256="5e7" * 20, **facts), {})
    first = release(cards.card(NAME, "m1"))
    judge("m2", passed=True)
    second = traffic.split(NAME, "m2", 0.5, **WHY)
    audit.record(Deed(actor="bea", action="approved", subject=f"model:{NAME}:m2", reason="seen the report"))
    log = PredictionLog(NAME, started_at=MOMENT)
    log.write(answers(["p1", "p2"], first.id)).result(timeout=5)
    log.write(answers(["p3"], second.id, model_version="m2", role="challenger")).result(timeout=5)
    shadow = {"inputs": {}, "read": [], "features": {}, "event_times": {}, "created_times": {}}
    log.write(answers(["p4"], second.id, model_version="m2", role="shadow", shadow_of=["p1"], **shadow)).result(
        timeout=5
    )
    log.close()
    predictions.collect(NAME)
    return home


def _remember_restricted() -> None:
    """As if this home had asked Feast before, which takes seconds."""
    folder = settings().feast_path
    folder.mkdir(parents=True)
    kept = {"digest": repository.digest(), "columns": {"tailnum": "pii"}}
    (folder / "restricted.json").write_text(json.dumps(kept))


def answers(ids: list[str], number: int, **changes: object) -> LoggedAnswers:
    count = len(ids)
    facts: dict[str, object] = {
        "use_case": NAME,
        "release": number,
        "model_version": "m1",
        "feature_service": "flight_delay_v1",
        "requested_at": MOMENT,
        "horizon": MOMENT,
        "prediction_id": ids,
        "entity_id": [f"flight-{each}" for each in ids],
        "as_of": [MOMENT] * count,
        "source": ["computed"] * count,
        "prediction": [0.25] * count,
        "decision": [False] * count,
        "changes": [()] * count,
        "inputs": {"flight_id": [f"flight-{each}" for each in ids], "tailnum": ["N123XX"] * count},
        "read": list(range(count)),
        "features": {"distance": [1400] * count, "gust": [None] * count, "tailnum": ["N123XX"] * count},
        "event_times": {"weather": [MOMENT - timedelta(hours=1)] * count},
        "created_times": {"weather": [MOMENT - timedelta(minutes=50)] * count},
        "request_id": "r-17",
    }
    return LoggedAnswers(**facts | changes)


def told(thing: Thing) -> dict[str, dict[str, str]]:
    return {each.name: dict(each.facts) for each in thing.walk()}


def test_a_prediction_leads_to_request_features_release_model_run_data_code_and_lock(belt: Path) -> None:
    found = told(lineage.trace("p1"))
    assert found["prediction:p1"]["request"] == "r-17"
    assert found["prediction:p1"]["prediction"] == "0.25, decision False"
    assert found["features"]["distance"] == "1400"
    assert found["features"]["gust"] == "missing"
    assert found["feature views"]["weather"] == "true at 2013-03-04T11:00:00Z, known at 2013-03-04T11:10:00Z"
    assert found[f"release:{NAME}/1"]["decided by"] == "gate: better"
    assert found["run:run7"]["cause"] == "test"
    assert "300 rows" in found["training set:5e75e75e75e7"]["rows"]
    assert found["data:flights@0"]["slice until"] == "2013-03-01 00:00:00 UTC"
    assert found["code:c0ffee"]["lock"] == "10c4"


def test_restricted_values_are_masked_wherever_they_stand(belt: Path) -> None:
    everything = lineage.trace("p1").model_dump_json()
    assert "N123XX" not in everything
    assert everything.count('"pii:') == 2


def test_a_challengers_prediction_leads_to_the_challenger_and_who_approved_it(belt: Path) -> None:
    found = told(lineage.trace("p3"))
    assert f"model:{NAME}:m2" in found
    assert f"model:{NAME}:m1" not in found
    assert "data:flights@1" in found
    assert found[f"release:{NAME}/2"]["approved by"] == "bea: seen the report"
    assert found[f"release:{NAME}/2"]["traffic"] == "m2 answers 50.0% of entities"


def test_a_shadow_shows_the_features_of_the_answer_it_shadows(belt: Path) -> None:
    found = told(lineage.trace("p4"))
    assert found["prediction:p4"]["in the shadow of"] == "prediction:p1"
    assert found["prediction:p4"]["entity"] == "flight-p1"
    assert found["features"]["distance"] == "1400"


def test_a_data_version_leads_to_models_releases_and_the_number_of_predictions(belt: Path) -> None:
    found = told(lineage.find("data:flights@0"))
    assert found["data:flights@0"]["slice until"] == "2013-03-01 00:00:00 UTC"
    assert "1 more were trained on later versions" in found["data:flights@0"]["models"]
    assert found[f"release:{NAME}/1"]["predictions"] == "2 as champion"
    later = told(lineage.find("data:flights@1"))
    assert later[f"release:{NAME}/2"]["predictions"] == "1 as challenger, 1 as shadow"
    assert f"model:{NAME}:m1" not in later
    assert {f"model:{NAME}:m1", f"model:{NAME}:m2"} < told(lineage.find("data:flights")).keys()


def test_models_and_releases_are_followed_both_ways(belt: Path) -> None:
    model = told(lineage.find(f"model:{NAME}:m2"))
    assert {"code:c0ffee", "data:flights@1", f"release:{NAME}/2"} < model.keys()
    found = told(lineage.find(f"release:{NAME}/2"))
    assert found["predictions"] == {"": "1 as challenger, 1 as shadow"}
    assert lineage.find("prediction:p1") == lineage.trace("p1")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("flights@0", InputError, "Expected one of prediction:ID"),
        ("release:flight_delay", InputError, "Expected one of"),
        ("release:flight_dely/1", UnknownName, "Known: flight_delay"),
        ("release:flight_delay/9", UnknownName, "Known: 2, 1"),
        ("model:flight_delay:m9", UnknownName, "Known: m1, m2"),
        ("data:nowhere@1", MissingData, "Known: flights"),
        ("data:flights@7", UnknownName, "Its newest is 1"),
        ("data:flights@one", InputError, "is no version"),
        ("prediction:p9", UnknownName, "No collected prediction has the id 'p9'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(belt: Path, name: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        lineage.find(name)


def test_a_model_that_was_removed_is_said_to_be(belt: Path) -> None:
    models.remove(NAME, "m1")
    assert told(lineage.trace("p1"))[f"model:{NAME}:m1"][""].startswith("It was removed")


def test_a_trace_is_drawn_as_a_graph_with_each_thing_once(belt: Path) -> None:
    drawn = mermaid(lineage.find("data:flights"))
    assert drawn.count(f'["release:{NAME}/2') == 1
    assert drawn.count("-->") == 5  # the split is a release of both
