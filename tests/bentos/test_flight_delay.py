"""The service of flight_delay over real HTTP: two workers, from a bento exported and imported elsewhere."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from bentos.flights import flight_id
from esteira.contract import utc
from esteira.model_card import ModelCard
from esteira.serving.predictor import Predictor
from esteira.settings import prepare_environment, settings
from esteira.stores.answers import predictions
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.model_store import models
from esteira.stores.monitoring import alerts
from esteira.stores.releases import bentos, ledger
from flows.steps.serving import precompute_predictions
from tests.bentos import belt

pytestmark = [
    pytest.mark.slow,
    # Said by Feast at every apply with an on-demand view; the concern is its own offline path, which we do not use.
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
]


@dataclass(frozen=True)
class Served:
    url: str
    process: int
    bento: bentos.BuiltBento
    log: Path
    cards: tuple[ModelCard, ModelCard]
    rows: pl.DataFrame

    def question(self, place: int) -> dict[str, Any]:
        return belt.question(self.rows.row(place, named=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESTEIRA_HOME", str(tmp_path_factory.mktemp("belt")))
        patch.setenv("ESTEIRA_CLOCK", "belt")
        settings.cache_clear()
        features.open_store.cache_clear()
        prepare_environment()
        yield settings().home
    settings.cache_clear()
    features.open_store.cache_clear()


@pytest.fixture(scope="module")
def served(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    belt.ingest()
    cards = belt.train(1), belt.train(2)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    bento = bentos.build("flight_delay", belt.proposal(cards[0]))
    archive = bentos.export(bento, elsewhere)
    environment = bentos.serve_environment("flight_delay", workers=2) | {"BENTOML_HOME": str(elsewhere / "bentoml")}
    subprocess.run([sys.executable, "-m", "bentoml", "import", str(archive)], env=environment, check=True, timeout=120)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = elsewhere / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            bentos.serve_command(bento.tag, host="127.0.0.1", port=port),
            env=environment,
            cwd=elsewhere,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        service = Served(f"http://127.0.0.1:{port}", process.pid, bento, log, cards, belt.entities())
        _wait_until_it_listens(service)
        yield service
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def test_a_service_without_a_release_lives_says_what_to_do_and_is_not_ready(served: Served) -> None:
    answer = httpx.post(f"{served.url}/predict", json={"flights": [served.question(0)]})
    assert answer.status_code == 503
    assert "Nothing is released for use case 'flight_delay'" in answer.json()["error"]
    health = httpx.get(f"{served.url}/readyz")
    assert (health.status_code, health.json()["ready"]) == (503, False)
    assert httpx.get(f"{served.url}/livez").status_code == 200


def test_a_first_release_is_served_within_seconds_and_answers_as_the_model_does(served: Served) -> None:
    release = belt.release(served.cards[0])
    bentos.wait_ready(served.url, seconds=10)
    _wait_for_release(served, release.id)
    asked = [served.question(place) for place in range(40)]
    answers = httpx.post(f"{served.url}/predict", json={"flights": asked}, timeout=30).json()["predictions"]
    assert [each["entity_id"] for each in answers] == [each["flight_id"] for each in asked]
    expected = _offline(served, served.cards[0], list(range(40)))
    assert [each["prediction"] for each in answers] == expected
    first = answers[0]
    assert (first["release"], first["model_version"], first["source"]) == (
        release.id,
        release.model_version,
        "computed",
    )
    assert utc(first["computed_at"]) == belt.REACHED
    assert first["decision"] is (first["prediction"] >= release.threshold)
    assert all(age is None or age >= 0 for age in first["feature_ages"].values())
    assert len({each["prediction_id"] for each in answers}) == 40


def test_every_answer_is_in_the_log_with_what_it_was_made_from(served: Served) -> None:
    answers = httpx.post(f"{served.url}/predict", json={"flights": [served.question(0)]}).json()["predictions"]
    assert predictions.collect("flight_delay") > 0
    logged = predictions.read_predictions("flight_delay").filter(pl.col("prediction_id") == answers[0]["prediction_id"])
    row = logged.row(0, named=True)
    assert (row["prediction"], row["release"]) == (answers[0]["prediction"], answers[0]["release"])
    assert (row["as_of"], row["horizon"]) == (belt.REACHED, belt.REACHED)
    remade = Predictor(served.cards[0], models.load("flight_delay", row["model_version"]).pipeline)
    assert remade.predict({k: [v] for k, v in json.loads(row["features"]).items()})[0] == row["prediction"]
    assert json.loads(row["inputs"])["predicted_at"] == int(belt.REACHED.timestamp())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin": "XXX"}, "contradicts"),
        ({"carrier": "ZZ"}, "contradicts"),
        ({"dest": None}, "Cannot read flights.0: Value error, dest is missing"),
        ({"flight": "1545"}, "Cannot read flights.0.flight"),
        ({"flight": True}, "Cannot read flights.0.flight"),
        ({"flight": 10**30}, "Cannot read flights.0.flight"),
        ({"scheduled_departure": "2013-01-08T15:00:00"}, "timezone"),
        (
            {"scheduled_departure": "1900-01-08T15:00:00Z", "scheduled_arrival": "1900-01-08T17:00:00Z"},
            "contradicts",
        ),
        (
            {"scheduled_departure": "9999-12-31T15:00:00Z", "scheduled_arrival": "9999-12-31T17:00:00Z"},
            "contradicts",
        ),
        ({"scheduled_arrival": "2013-01-01T00:00:00Z"}, "not within 24 hours after"),
        ({"gate": "B12"}, "Extra inputs are not permitted"),
        ({"dest": "LAX"}, "contradicts the rest of the flight, which makes it"),
        ({"flight_id": "2013-01-09-UA1-EWR-IAH"}, "contradicts the rest of the flight"),
        ({"flight_id": "1; DROP TABLE made"}, "contradicts the rest of the flight"),
        ({"carrier": None}, "carrier is missing; give the flight_id alone, or the whole flight"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_in_words(served: Served, change: Any, words: str) -> None:
    answer = httpx.post(f"{served.url}/predict", json={"flights": [{**served.question(0), **change}]})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin": "XXX"}, "Unknown origin 'XXX'. Known: EWR, JFK, LGA."),
        ({"carrier": "ZZ"}, "Unknown carrier 'ZZ'. Known: "),
        (
            {"scheduled_departure": "1900-01-08T15:00:00Z", "scheduled_arrival": "1900-01-08T17:00:00Z"},
            "departs -4",
        ),
        (
            {"scheduled_departure": "9999-12-31T15:00:00Z", "scheduled_arrival": "9999-12-31T17:00:00Z"},
            "departs 29",
        ),
    ],
)
def test_a_flight_that_cannot_be_is_refused_even_when_it_is_named_so(served: Served, change: Any, words: str) -> None:
    flight = {**served.question(0), **change}
    departure = datetime.fromisoformat(flight["scheduled_departure"])
    flight["flight_id"] = flight_id(departure, flight["carrier"], flight["flight"], flight["origin"], flight["dest"])
    answer = httpx.post(f"{served.url}/predict", json={"flights": [flight]})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_bodies_out_of_bounds_are_refused(served: Served) -> None:
    one = served.question(0)
    url = f"{served.url}/predict"
    assert "at least 1 item" in httpx.post(url, json={"flights": []}).json()["error"]
    assert "asked for more than once" in httpx.post(url, json={"flights": [one, one]}).json()["error"]
    assert "at most 1000" in httpx.post(url, json={"flights": [one] * 1001}).json()["error"]
    many = httpx.post(f"{served.url}/cached", json={"flight_ids": ["x"] * 10_001})
    assert (many.status_code, "at most 10000" in many.json()["error"]) == (400, True)
    assert httpx.post(url, content=b'{"flights": [').status_code == 400
    assert httpx.post(url, content=b"x" * 2_000_000).status_code == 413
    ahead = httpx.post(url, json={"flights": [one], "as_of": "2013-06-01T00:00:00Z"})
    assert "the service's clock says 2013-01-08T12:00:00" in ahead.json()["error"]


def test_predictions_made_ahead_are_looked_up_by_key_and_answer_for_what_is_due_later(served: Served) -> None:
    release = ledger.live("flight_delay")
    batch = precompute_predictions.fn("flight_delay", belt.REACHED)
    assert batch.entities >= served.rows.height
    names = served.rows["flight_id"].to_list()
    found = httpx.post(f"{served.url}/cached", json={"flight_ids": [names[0], "nowhere", names[1]]}).json()
    assert [each["entity_id"] for each in found["predictions"]] == names[:2]
    assert "No prediction for 'nowhere' was precomputed" in found["absent"]["nowhere"]
    expected = _offline(served, served.cards[0], [0, 1])
    assert [(e["prediction"], e["source"], e["release"]) for e in found["predictions"]] == [
        (each, "cached", release.id) for each in expected
    ]
    one = httpx.get(f"{served.url}/cached/{names[0]}").json()
    assert one | {"prediction_id": ""} == found["predictions"][0] | {"prediction_id": ""}
    absent = httpx.get(f"{served.url}/cached/nowhere")
    assert absent.status_code == 404
    assert "No prediction for 'nowhere' was precomputed" in absent.json()["error"]


def test_one_predict_answers_from_what_was_made_ahead_or_computes_and_says_which(served: Served) -> None:
    later = (served.rows["scheduled_departure"] > belt.REACHED.timestamp() + 6 * 3600).to_list()
    assert 10 < sum(later) < len(later) - 10
    asked = [served.question(place) for place in range(len(later))]
    answers = httpx.post(f"{served.url}/predict", json={"flights": asked}, timeout=30).json()["predictions"]
    assert [each["source"] == "cached" for each in answers] == later
    computed = httpx.post(
        f"{served.url}/predict", json={"flights": asked, "as_of": belt.REACHED.isoformat()}, timeout=30
    ).json()["predictions"]
    assert {each["source"] for each in computed} == {"computed"}
    told = ("entity_id", "prediction", "decision", "band", "feature_ages", "missing", "computed_at", "release")
    assert [[each[name] for name in told] for each in answers] == [[each[name] for name in told] for each in computed]
    predictions.collect("flight_delay")
    logged = predictions.read_predictions("flight_delay").filter(
        pl.col("prediction_id").is_in([each["prediction_id"] for each in answers])
    )
    assert logged.height == len(answers)
    assert logged.filter(source="cached").height == sum(later)


def test_a_flight_with_another_aircraft_than_the_batch_knew_is_computed(served: Served) -> None:
    place = int(served.rows["scheduled_departure"].arg_max())  # type: ignore[arg-type]
    flight = served.question(place)
    first, other = (
        httpx.post(f"{served.url}/predict", json={"flights": [each]}).json()["predictions"][0]
        for each in (flight, {**flight, "tailnum": "N00000"})
    )
    assert (first["source"], other["source"]) == ("cached", "computed")


def test_a_flight_that_was_predicted_ahead_is_asked_for_by_its_name_alone(served: Served) -> None:
    for place in (0, served.rows.height - 1):
        name = served.rows["flight_id"][place]
        whole, named = (
            httpx.post(f"{served.url}/predict", json={"flights": [each]}).json()["predictions"][0]
            for each in (served.question(place), {"flight_id": name})
        )
        assert named | {"prediction_id": ""} == whole | {"prediction_id": ""}
    unknown = httpx.post(f"{served.url}/predict", json={"flights": [{"flight_id": "nobody"}]})
    assert unknown.status_code == 404
    assert "Send all of them" in unknown.json()["error"]


def test_what_was_made_ahead_ends_with_its_release_and_comes_back_with_a_rollback(served: Served) -> None:
    place = int(served.rows["scheduled_departure"].arg_max())  # type: ignore[arg-type]
    name, body = served.rows["flight_id"][place], {"flights": [served.question(place)]}
    before = httpx.get(f"{served.url}/cached/{name}").json()
    newer = belt.release(served.cards[1])
    _wait_for_release(served, newer.id)
    assert httpx.get(f"{served.url}/cached/{name}").status_code == 404
    computed = httpx.post(f"{served.url}/predict", json=body).json()["predictions"][0]
    assert (computed["source"], computed["release"]) == ("computed", newer.id)
    restored = ledger.roll_back("flight_delay", undoes=newer.id, to=None, actor="test", reason="test", at=belt.REACHED)
    _wait_for_release(served, restored.id)
    after = httpx.post(f"{served.url}/predict", json=body).json()["predictions"][0]
    assert (after["source"], after["release"]) == ("cached", restored.id)
    assert after["prediction"] == before["prediction"]


def test_an_explanation_is_computed_and_adds_up(served: Served) -> None:
    place = int(served.rows["scheduled_departure"].arg_max())  # type: ignore[arg-type]
    body = {"flights": [served.question(place)], "explain": True}
    answer = httpx.post(f"{served.url}/predict", json=body).json()["predictions"][0]
    told = answer["explanation"]
    total = told["base"] + sum(each["contribution"] for each in told["contributions"]) + told["rest"]
    assert answer["source"] == "computed"
    assert 1 / (1 + math.exp(-total)) == pytest.approx(answer["prediction"], abs=1e-4)
    assert " by " in told["words"]


def test_predictions_are_given_for_feature_values_too(served: Served) -> None:
    predictions.collect("flight_delay")
    logged = predictions.read_predictions("flight_delay").filter(source="computed").row(-1, named=True)
    row = {"name": "mine", "features": json.loads(logged["features"])}
    url = f"{served.url}/predict_features"
    answer = httpx.post(url, json={"rows": [row]}).json()["predictions"][0]
    assert (answer["prediction"], answer["source"], answer["entity_id"]) == (logged["prediction"], "given", "mine")
    few = httpx.post(url, json={"rows": [{"name": "few", "features": {"local_hour": 19.5}}], "explain": True}).json()
    assert "local_hour" not in few["predictions"][0]["missing"]
    assert len(few["predictions"][0]["missing"]) > 50
    for values, words in [
        ({"locl_hour": 1.0}, "Unknown features locl_hour"),
        ({"local_hour": "late"}, "'local_hour' cannot be 'late'"),
        ({"local_hour": 10**400}, "cannot"),
        ({"local_hour": [1]}, "Cannot read rows.0.features.local_hour"),
    ]:
        refused = httpx.post(url, json={"rows": [{"name": "x", "features": values}]})
        assert refused.status_code == 400
        assert words in refused.json()["error"]


def test_a_bento_runs_its_own_code_and_brings_neither_prefect_nor_training(served: Served) -> None:
    program = (
        "import sys, bentoml\n"
        "bentoml.load(sys.argv[1])\n"
        "import esteira.stores.releases.loading, bentos, esteira\n"
        "print(bentos.__file__, esteira.__file__)\n"
        "print([name for name in sys.modules if name in ('prefect', 'mlflow', 'whylogs', 'esteira.training')])"
    )
    packed = served.bento.path / "src"
    run = subprocess.run(  # from the checkout, whose own code must not get in front
        [sys.executable, "-c", program, str(served.bento.path)],
        cwd=settings().repository, capture_output=True, text=True, check=True, env=bentos.serve_environment("x"),
    )  # fmt: skip
    where, foreign = run.stdout.splitlines()[-2:]
    assert where == f"{packed / 'bentos' / '__init__.py'} {packed / 'src' / 'esteira' / '__init__.py'}"
    assert foreign == "[]"
    assert not (packed / "src" / "esteira" / "training").exists()


def test_building_the_same_release_again_finds_the_same_bento(served: Served) -> None:
    first = bentos.build("flight_delay", belt.proposal(served.cards[0]))
    assert bentos.build("flight_delay", belt.proposal(served.cards[0])) == first
    assert first.path.is_dir()
    assert list((settings().bentoml_path / "staging").iterdir()) == []


def test_the_schema_page_describes_the_contract_with_examples(served: Served) -> None:
    description = httpx.get(f"{served.url}/docs.json").json()
    assert {"/predict", "/predict_features", "/cached"} <= description["paths"].keys()
    schemas = json.dumps(description["components"]["schemas"])
    assert "2013-03-01-UA1545-EWR-IAH" in schemas
    assert '"additionalProperties": false' in schemas
    assert "esteira_requests_total" in httpx.get(f"{served.url}/metrics").text


def test_releases_change_under_load_without_a_failed_or_mixed_answer(served: Served) -> None:
    expected = {card.version: _offline(served, card, list(range(8))) for card in served.cards}
    stop = threading.Event()
    wrong: list[str] = []
    seen: list[tuple[float, int]] = []

    def ask(place: int) -> None:
        with httpx.Client(base_url=served.url, timeout=10) as client:
            while not stop.is_set():
                asked_at = time.monotonic()
                answer = client.post("/predict", json={"flights": [served.question(place)]})
                if answer.status_code != 200:
                    wrong.append(answer.text)
                    continue
                given = answer.json()["predictions"][0]
                seen.append((asked_at, given["release"]))
                if given["prediction"] != expected[given["model_version"]][place]:
                    wrong.append(f"release {given['release']} answered {given['prediction']}")

    callers = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for each in callers:
        each.start()
    changes: list[tuple[float, int]] = []
    for n in range(8):
        release = (
            belt.release(served.cards[(n + 1) % 2])
            if n % 3 < 2
            else ledger.roll_back(
                "flight_delay",
                undoes=ledger.live("flight_delay").id,
                to=None,
                actor="test",
                reason="test",
                at=belt.REACHED,
            )
        )
        changes.append((time.monotonic(), release.id))
        time.sleep(1.2)
    time.sleep(2)
    stop.set()
    for each in callers:
        each.join()
    assert wrong == []
    assert len({release for _, release in seen}) >= 8
    late = [
        (asked, release)
        for asked, release in seen
        if any(asked > changed + 2 and release < replaced for changed, replaced in changes)
    ]
    assert late == []


def test_a_release_whose_model_was_altered_is_refused_and_the_old_one_serves_on(served: Served) -> None:
    before = ledger.live("flight_delay")
    card = belt.train(3)
    unaltered = belt.proposal(card)
    file = models.load("flight_delay", card.version).path / next(iter(card.files))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    ledger.append(unaltered, follows=before.id)
    for _ in range(10):  # either worker
        _wait_for(lambda: any("AlteredModel" in each for each in _health(served)["troubles"]))
    health = _health(served)
    assert (health["ready"], health["release"]) == (True, before.id)
    answer = httpx.post(f"{served.url}/predict", json={"flights": [served.question(0)]})
    assert answer.json()["predictions"][0]["release"] == before.id
    (alert,) = alerts.alerts(key=f"not loaded flight_delay {ledger.live('flight_delay').id}")
    assert alert.severity == "critical"
    assert "AlteredModel" in alert.sentence


def test_a_killed_worker_loses_no_answer_it_gave_and_is_replaced(served: Served) -> None:
    stop = threading.Event()
    answered: list[str] = []

    def ask(place: int) -> None:
        with httpx.Client(base_url=served.url, timeout=10) as client:
            while not stop.is_set():
                try:
                    answer = client.post("/predict", json={"flights": [served.question(place)]})
                except httpx.TransportError:  # the request died with its worker: it was not answered
                    continue
                assert answer.status_code == 200
                answered.append(answer.json()["predictions"][0]["prediction_id"])

    callers = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
    for each in callers:
        each.start()
    time.sleep(1)
    workers = _workers(served)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    time.sleep(1)
    stop.set()
    for each in callers:
        each.join()
    assert len(answered) > 20
    predictions.collect("flight_delay")
    kept = predictions.read_predictions("flight_delay")["prediction_id"].to_list()
    assert len(kept) == len(set(kept))
    assert set(answered) <= set(kept)
    _wait_for(lambda: len(set(_workers(served)) - {workers[0]}) == 2, seconds=20)


def _offline(served: Served, card: ModelCard, places: list[int]) -> list[float]:
    """What the model says in this process, from the same online store."""
    rows = served.rows[places].with_columns(pl.lit(int(belt.REACHED.timestamp())).alias("predicted_at"))
    wanted = [*belt.USE_CASE.entity_keys, *belt.USE_CASE.request_inputs]
    found = OnlineFeatures(features.open_store(), card.feature_service).read(
        rows.select(sorted(set(wanted))).to_dict(as_series=False), belt.REACHED
    )
    predicted: list[float] = (
        Predictor(card, models.load(card.use_case, card.version).pipeline).predict(found.values).tolist()
    )
    return predicted


def _workers(served: Served) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(served.process)], capture_output=True, text=True, check=False)
    return [int(each) for each in listed.stdout.split() if "worker.service" in _arguments(each)]


def _arguments(process: str) -> str:
    listed = subprocess.run(["ps", "-o", "args=", "-p", process], capture_output=True, text=True, check=False)
    return listed.stdout


def _health(served: Served) -> Any:
    return httpx.get(f"{served.url}/readyz").json()


def _wait_for_release(served: Served, release: int) -> None:
    # Each connection reaches either worker: both must have followed.
    for _ in range(10):
        _wait_for(lambda: _health(served)["release"] == release)


def _wait_until_it_listens(served: Served) -> None:
    def listens() -> bool:
        try:
            return httpx.get(f"{served.url}/livez").is_success
        except httpx.TransportError:
            return False

    _wait_for(listens, seconds=240, told=served.log)


def _wait_for(happens: Any, *, seconds: float = 10, told: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            pytest.fail(told.read_text()[-3000:] if told else "it did not happen in time")
        time.sleep(0.1)
