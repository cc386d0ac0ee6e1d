"""A challenger that must not follow: judged on a real belt, refused, alerted, and not released by the back door."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from esteira import use_cases
from esteira.cli import app
from esteira.errors import ReleaseError, UnknownName
from esteira.settings import settings
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE
from esteira.stores.monitoring import alerts
from esteira.stores.releases import ledger
from esteira.training.gate import judge
from esteira.training.labels import OUTCOME, label_entities
from esteira.training.learn import Where, days_of, feature_frame, fit_entrant, score
from esteira.training.recipe import declared
from flows.steps.judging import Judgement, judge_challenger
from flows.steps.release import release_challenger
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
NAME = "flight_delay"


@pytest.fixture
def strict(belt: Belt, monkeypatch: pytest.MonkeyPatch) -> None:
    """A use case whose floor no model of flights reaches."""
    floors = tuple(replace(each, least=0.99) for each in belt.use_case.gate.floors)
    impossible = replace(belt.use_case, gate=replace(belt.use_case.gate, floors=floors))
    monkeypatch.setattr(use_cases, "get", lambda _: impossible)


def test_a_refusal_opens_one_alert_that_leads_to_its_evidence(belt: Belt, strict: None) -> None:
    moment = belt.as_of.replace(second=1)
    judgement = judge_challenger.fn(NAME, belt.challenger, moment)
    assert not judgement.verdict.passed
    judge_challenger.fn(NAME, belt.challenger, moment)
    (alert,) = [each for each in alerts.alerts(only_open=True) if each.subject == belt.challenger]
    assert (alert.severity, alert.owner) == ("warning", belt.use_case.owner)
    assert alert.sentence == "Refused: auc floor."
    shown = CliRunner().invoke(app, alert.link.split()[1:], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.exception
    assert "FAILED: Challenger auc is 0." in shown.stdout
    assert "origin=JFK log_loss difference" in shown.stdout
    for table, version in models.load(NAME, belt.challenger).card.data_versions.items():
        assert f"{table} {version}" in shown.stdout
    listed = CliRunner().invoke(app, ["alerts", "list"])
    assert alert.link in listed.stdout
    closed = CliRunner().invoke(app, ["alerts", "ack", str(alert.id), "--note", "A test.", "--by", "ana"])
    assert closed.exit_code == 0, closed.exception
    assert alert.id not in [each.id for each in alerts.alerts(only_open=True)]
    with pytest.raises(ReleaseError, match="did not pass its gate"):
        release_challenger.fn(NAME, belt.challenger, judgement, moment)


def test_a_verdict_the_gate_did_not_give_releases_nothing(belt: Belt, strict: None) -> None:
    before, moment = ledger.live(NAME), belt.as_of.replace(second=2)
    passed = judge_challenger.fn(NAME, belt.challenger, moment).verdict.model_copy(update={"passed": True})
    forged = Judgement(verdict=passed, against=before.id)
    other = models.load(NAME, belt.challenger).card.version
    with pytest.raises(ReleaseError, match="the gate refused it then"):
        release_challenger.fn(NAME, other, forged, moment)
    with pytest.raises(ReleaseError, match="the gate never judged it then"):
        release_challenger.fn(NAME, other, forged, moment.replace(second=3))
    assert ledger.live(NAME) == before


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ({"card_sha256": "0" * 64}, "0{64} was recorded"),
        ({"model_version": "2013-01-01-0123456789"}, "Unknown version"),
    ],
)
def test_nothing_is_judged_against_a_champion_that_is_altered_or_missing(
    belt: Belt, monkeypatch: pytest.MonkeyPatch, spoiled: dict[str, str], why: str
) -> None:
    before, live = len(verdicts.recorded(NAME, GATE)), ledger.live(NAME)
    champion = live.model_copy(update={"id": 1_000 + len(why), **spoiled})
    monkeypatch.setattr(ledger, "live", lambda _: champion)
    with pytest.raises(ReleaseError, match=rf"was not judged: the champion .* cannot be loaded and verified\..*{why}"):
        judge_challenger.fn(NAME, belt.challenger, belt.as_of.replace(second=4))
    assert len(verdicts.recorded(NAME, GATE)) == before
    (alert,) = alerts.alerts(key=f"champion {NAME} {champion.id}")
    assert (alert.severity, alert.subject) == ("critical", champion.model_version)


def test_an_unknown_model_has_no_verdict_to_show(belt: Belt) -> None:
    with pytest.raises(UnknownName, match=rf"judged model 'm'\. Known: {belt.challenger}"):
        CliRunner().invoke(app, ["verdicts", "show", NAME, "m"], catch_exceptions=False)
    listed = CliRunner().invoke(app, ["verdicts", "list", NAME])
    assert f"passed  {belt.challenger}" in listed.stdout


def test_a_challenger_that_learned_from_flipped_labels_is_refused(belt: Belt) -> None:
    """One in twenty labels turned round: every answer is drawn towards the middle, and the gate sees it."""
    use_case, card = belt.use_case, models.load(NAME, belt.challenger).card
    raw = tables.read_known(sorted({*use_case.entity_reads, *use_case.outcome_reads}), belt.as_of)
    labelled = label_entities(use_case, use_case.build_entities(raw), use_case.build_outcomes(raw), as_of=belt.as_of)
    rows = features.build_training_set(use_case.feature_service, labelled)
    learned = rows.filter(pl.col("event_timestamp") <= card.trained_until)
    held_out = rows.filter(pl.col("event_timestamp").is_between(card.holdout_from, card.holdout_until))
    columns = features.service_columns(use_case.feature_service)
    where = Where(seed=1, threads=settings().threads, device="cpu")
    trees = next(each for each in declared(use_case.candidates) if each.name == "boosted_trees")

    def answers(training_rows: pl.DataFrame) -> np.ndarray[Any, Any]:
        pipeline = fit_entrant(use_case, trees, training_rows, columns, where)
        return score(pipeline, feature_frame(held_out, columns), kind="binary", bounds=use_case.bounds)

    turned = np.random.default_rng(7).uniform(size=learned.height) < 0.05
    poisoned = learned.with_columns(
        pl.Series(OUTCOME, np.where(turned, 1 - learned[OUTCOME].to_numpy(), learned[OUTCOME].to_numpy()))
    )
    given = {name: held_out[name].to_list() for name in use_case.slices}
    found = judge(
        use_case.gate, "binary", outcomes=held_out[OUTCOME].to_numpy(), challenger=answers(poisoned),
        champion=answers(learned), baseline=float(learned[OUTCOME].mean()),  # type: ignore[arg-type]
        days=days_of(held_out), slices=given, groups=given, threshold=use_case.threshold, allowed=use_case.bounds,
        trained_until=card.trained_until, judged_from=card.holdout_from, seed=1, one_row_ms=1.0, size_bytes=1,
    )  # fmt: skip
    assert "sharpness" in [check.name for check in found.checks if not check.passed], found.sentences
