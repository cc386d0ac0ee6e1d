"""A challenger beside the champion of a running service, over real HTTP: in the shadow, and answering a share."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import polars as pl
import pytest

from esteira.model_card import ModelCard
from esteira.rules import Floor
from esteira.settings import child_environment, prepare_environment, settings
from esteira.stores import audit
from esteira.stores.answers import predictions
from esteira.stores.feature_store import features
from esteira.stores.model_store import models, verdicts
from esteira.stores.monitoring import alerts
from esteira.stores.releases import bentos, ledger, traffic
from flows.steps import traffic as steps
from tests.bentos import belt

pytestmark = [
    pytest.mark.slow,
    # Said by Feast at every apply with an on-demand view; the concern is its own offline path, which we do not use.
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
]
NAME = "flight_delay"
WHY = {"actor": "test", "reason": "to compare", "at": belt.REACHED}


@dataclass(frozen=True)
class Served:
    url: str
    champion: ModelCard
    challenger: ModelCard
    rows: pl.DataFrame

    def ask(self, count: int, rows: pl.DataFrame | None = None, as_of: str = belt.REACHED.isoformat()) -> list[Any]:
        """Ask about the first flights, all to be computed."""
        asked = self.rows if rows is None else rows
        flights = [belt.question(row) for row in asked.head(count).iter_rows(named=True)]
        body = {"flights": flights, "as_of": as_of}
        answer = httpx.post(f"{self.url}/predict", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["predictions"]
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESTEIRA_HOME", str(tmp_path_factory.mktemp("belt")))
        patch.setenv("ESTEIRA_CLOCK", "belt")
        settings.cache_clear()
        features.open_store.cache_clear()
        prepare_environment()
        belt.ingest()
        champion, challenger = belt.train(1), belt.train(2)
        belt.release(champion)
        verdicts.record(NAME, verdicts.GATE, challenger.version, belt.REACHED, {"passed": True})
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = settings().home / "service.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bentoml", "serve", "bentos.flight_delay.service:service", "--port", str(port)],
                env=bentos.serve_environment(NAME, workers=1),
                cwd=settings().repository,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            bentos.wait_ready(url, seconds=240)
            yield Served(url, champion, challenger, belt.entities())
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
    settings.cache_clear()
    features.open_store.cache_clear()


def test_a_shadow_is_logged_beside_each_answer_and_never_returned(served: Served) -> None:
    _follow(served, traffic.shadow(NAME, served.challenger.version, **WHY))
    answers = served.ask(40)
    assert {each["model_version"] for each in answers} == {served.champion.version}
    assert [each["prediction"] for each in answers] == belt.offline(served.champion, served.rows, 40)
    shadows = _shadows_of(answers)
    assert set(shadows["model_version"]) == {served.challenger.version}
    assert set(shadows["release"]) == {ledger.live(NAME).id}
    assert shadows["entity_id"].to_list() == [each["entity_id"] for each in answers]
    assert shadows["prediction"].to_list() == belt.offline(served.challenger, served.rows, 40)
    given = predictions.read_predictions(NAME)
    assert set(given["role"]) == {"champion"}
    assert {each["prediction_id"] for each in answers} <= set(given["prediction_id"])
    metrics = httpx.get(f"{served.url}/metrics").text
    assert 'esteira_shadow_total{result="logged"} 40.0' in metrics


def test_a_challenger_that_fails_in_the_shadow_is_told_in_health_and_to_no_caller(served: Served) -> None:
    broken = _knows_no_origin(served)
    _follow(served, traffic.shadow(NAME, broken.version, **WHY))
    answers = served.ask(20)
    assert {each["model_version"] for each in answers} == {served.champion.version}
    assert {each["fallback"] for each in answers} == {None}
    _wait_for(lambda: 'esteira_shadow_total{result="failed"} 20.0' in httpx.get(f"{served.url}/metrics").text)
    told = _health(served)
    assert told["ready"] is True
    assert told["troubles"] == ["The challenger deaf fails in the shadow: it has never heard of an entity's value."]


def test_a_challenger_that_cannot_be_loaded_leaves_the_champion_serving_and_says_so(served: Served) -> None:
    stored = models.load(NAME, served.challenger.version)
    columns = (*stored.card.columns[:-1], stored.card.columns[-1].model_copy(update={"name": "gone"}))
    alien = models.save(stored.pipeline, stored.card.model_copy(update={"version": "alien", "columns": columns}), {})
    changed = _follow(served, traffic.shadow(NAME, alien.version, **WHY))
    assert {each["release"] for each in served.ask(5)} == {changed.id}
    told = _health(served)
    assert told["ready"] is True
    assert "The challenger alien" in told["troubles"][0]
    assert "'gone'" in told["troubles"][0]
    _follow(served, traffic.stop(NAME, **WHY))
    assert _health(served)["troubles"] == []


def test_a_split_gives_each_entity_to_one_model_whatever_it_is_asked_with(served: Served) -> None:
    split = _follow(served, traffic.split(NAME, served.challenger.version, 0.4, **WHY))
    assert split.traffic is not None
    answers = served.ask(60)
    expected = {
        True: dict(enumerate(belt.offline(served.challenger, served.rows, 60))),
        False: dict(enumerate(belt.offline(served.champion, served.rows, 60))),
    }
    its = [split.traffic.is_challengers(each["entity_id"]) for each in answers]
    assert 5 < sum(its) < 55
    for place, each in enumerate(answers):
        assert each["model_version"] == (served.challenger if its[place] else served.champion).version
        assert each["prediction"] == expected[its[place]][place]
        assert each["release"] == split.id
    assert [each["entity_id"] for each in answers] == served.rows["flight_id"].to_list()[:60]
    again = [each for place in (1, 7, 60) for each in served.ask(place)]
    first = {each["entity_id"]: each["model_version"] for each in answers}
    assert all(first[each["entity_id"]] == each["model_version"] for each in again)
    predictions.collect(NAME)
    logged = predictions.read_predictions(NAME, roles=("challenger",))
    assert set(logged["model_version"]) == {served.challenger.version}
    assert set(logged["entity_id"]) == {each["entity_id"] for each, yes in zip(answers, its, strict=True) if yes}
    assert served.challenger.version not in set(predictions.read_predictions(NAME)["model_version"])


def test_a_share_is_raised_live_without_exchanging_anybody(served: Served) -> None:
    before = {each["entity_id"] for each in served.ask(60) if each["model_version"] == served.challenger.version}
    _follow(served, traffic.split(NAME, served.challenger.version, 0.8, **WHY))
    after = {each["entity_id"] for each in served.ask(60) if each["model_version"] == served.challenger.version}
    assert before < after


def test_when_a_challenger_fails_the_champion_answers_its_callers_and_says_so(served: Served) -> None:
    broken = _knows_no_origin(served)
    verdicts.record(NAME, verdicts.GATE, broken.version, belt.REACHED, {"passed": True})
    split = _follow(served, traffic.split(NAME, broken.version, 0.5, **WHY))
    assert split.traffic is not None
    answers = served.ask(40)
    assert {each["model_version"] for each in answers} == {served.champion.version}
    assert [each["prediction"] for each in answers] == belt.offline(served.champion, served.rows, 40)
    its = [split.traffic.is_challengers(each["entity_id"]) for each in answers]
    assert [each["fallback"] for each in answers] == [
        "The challenger failed, so the champion answered." if yes else None for yes in its
    ]
    assert f"esteira_stand_ins_total {sum(its)}.0" in httpx.get(f"{served.url}/metrics").text


def test_a_challenger_that_does_harm_is_taken_away_by_the_monitor_with_an_alert(served: Served) -> None:
    stored = models.load(NAME, served.challenger.version)
    certain = (Floor(name="certain", reason="test", at_least=0.99),)
    harmful = models.save(stored.pipeline, stored.card.model_copy(update={"version": "harmful", "rules": certain}), {})
    verdicts.record(NAME, verdicts.GATE, harmful.version, belt.REACHED, {"passed": True})
    split = _follow(served, traffic.split(NAME, harmful.version, 0.5, **WHY))
    past = belt.REACHED - timedelta(days=3)  # of these flights the belt knows what became
    flights = belt.entities(past).head(800)
    served.ask(800, flights, as_of=past.isoformat())
    predictions.collect(NAME)
    compared = steps.compare_challenger.fn(NAME, belt.REACHED)
    assert compared is not None
    assert compared.verdict == "worse", compared.sentence
    assert min(compared.entities) > 200
    said = steps.stop_on_harm.fn(NAME, compared, belt.REACHED)
    ended = ledger.live(NAME)
    assert said == (compared.sentence, f"Took the challenger harmful away by release {ended.id}.")
    assert (ended.traffic, ended.follows, ended.actor, ended.reason) == (None, split.id, "monitor", compared.sentence)
    (alert,) = alerts.alerts(use_case=NAME, key=f"harm {NAME} {split.id}")
    assert (alert.severity, alert.subject) == ("critical", "harmful")
    assert audit.entries(action="changed traffic")[-1].actor == "monitor"
    assert steps.stop_on_harm.fn(NAME, compared, belt.REACHED) == ()
    _follow(served, ended)
    report = esteira("ab", "report", NAME, "--as-of", belt.REACHED.isoformat(), "-o", str(settings().home / "ab.svg"))
    assert compared.sentence in report
    assert "●" in report.splitlines()[-1]
    assert (settings().home / "ab.svg").read_text().startswith("<svg")


def test_turned_off_everybody_has_the_champion_again(served: Served) -> None:
    said = esteira("traffic", NAME, "--shadow", served.challenger.version, "--reason", "once more", "--actor", "ann")
    shadow = _follow(served, ledger.live(NAME))
    assert said == f"Release {shadow.id}, {served.champion.version}: {shadow.traffic and shadow.traffic.in_words()}.\n"
    assert (shadow.actor, shadow.reason) == ("ann", "once more")
    assert "no challenger" in esteira("traffic", NAME, "--off", "--reason", "seen enough")
    _follow(served, ledger.live(NAME))
    assert {each["model_version"] for each in served.ask(60)} == {served.champion.version}


def _knows_no_origin(served: Served) -> ModelCard:
    """The challenger, but one that has never heard of any airport the test asks about."""
    if "deaf" in models.versions(NAME):
        return models.load(NAME, "deaf").card
    stored = models.load(NAME, served.challenger.version)
    known = {**stored.card.entity_values, "origin": ("XXX",)}
    return models.save(stored.pipeline, stored.card.model_copy(update={"version": "deaf", "entity_values": known}), {})


def _shadows_of(answers: list[dict[str, Any]]) -> pl.DataFrame:
    """What a challenger said to the questions that were answered so, in their order."""
    asked = pl.DataFrame({"shadow_of": [each["prediction_id"] for each in answers]})

    def found() -> pl.DataFrame:
        predictions.collect(NAME)
        if not len(predictions.scan_predictions(NAME).head(1).collect()):
            return asked.clear()
        said = predictions.read_predictions(NAME, roles=("shadow",))
        return asked.join(said, on="shadow_of", how="inner", maintain_order="left")

    _wait_for(lambda: found().height == len(answers))
    return found()


def _follow(served: Served, release: ledger.Release) -> ledger.Release:
    _wait_for(lambda: _health(served)["release"] == release.id)
    return release


def _health(served: Served) -> Any:
    return httpx.get(f"{served.url}/readyz", timeout=30).json()


def _wait_for(happens: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_an_answer_is_traced_before_anybody_has_collected_it(served: Served) -> None:
    (answer,) = served.ask(1)
    told = esteira("trace", answer["prediction_id"])
    assert f"release:{NAME}/{answer['release']}" in told
    assert f"model:{NAME}:{served.champion.version}" in told
    assert served.rows["tailnum"][0] not in told  # restricted


def esteira(*words: str) -> str:
    command = [sys.executable, "-c", "from esteira.cli import main; main()", *words]
    env = child_environment() | {"COLUMNS": "500", "NO_COLOR": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
