"""One belt, flow by flow, under a real Prefect server, on real flights."""

import asyncio
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from esteira.cli import app
from esteira.contract import CREATED, EVENT, utc
from esteira.errors import InputError, MissingData, MomentOutsideData, NoRelease, NotEnoughData, OverBudget, UnknownName
from esteira.model_card import missing_records
from esteira.monitoring.policy import Verdict
from esteira.settings import settings
from esteira.stores import clock
from esteira.stores.answers import cached
from esteira.stores.data import tables
from esteira.stores.model_store import models, runs, verdicts
from esteira.stores.monitoring import retrain_requests, status
from esteira.stores.monitoring.retrain_requests import RetrainRequest
from esteira.stores.releases import ledger
from esteira.stores.releases.live import Live
from flows import plain
from flows.ingest import ingest
from flows.monitor import monitor
from flows.precompute import precompute
from flows.steps import monitoring as steps
from flows.train import train
from flows.validate import validate
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
NAME = "flight_delay"


def artifact(key: str) -> str:
    with get_client(sync_client=True) as client:
        found = client.request("GET", "/artifacts/{key}/latest".replace("{key}", key))
    return str(found.json()["data"])


def test_ingest_fills_every_table_and_reaches_the_moment(belt: Belt) -> None:
    for table in (*belt.use_case.source.tables, *belt.use_case.feature_tables):
        assert tables.horizon(table.name) == belt.as_of, table.name
        assert tables.read(table.name).height, table.name
        assert tables.read(table.name)[CREATED].max() <= belt.as_of, table.name  # type: ignore[operator]
    assert "feature rows" in artifact("ingested")


def test_ingesting_the_same_moment_again_changes_nothing(belt: Belt) -> None:
    names = [table.name for table in (*belt.use_case.source.tables, *belt.use_case.feature_tables)]
    before = tables.versions(names)
    again = ingest(NAME, belt.as_of)
    assert tables.versions(names) == before
    assert not any(again.raw_rows.values())
    assert not any(again.feature_rows.values())


def test_train_stores_a_model_with_card_reference_and_run(belt: Belt) -> None:
    model = models.load(NAME, belt.challenger)
    assert model.card.as_of == belt.as_of
    assert missing_records(model.card, model.attachments) == []
    assert runs.find([NAME], belt.challenger).run_id == model.card.run_id
    assert runs.find([NAME], model.card.run_id).status == "FINISHED"
    assert belt.challenger in artifact("trained")


def test_a_run_over_its_allowance_stops_and_is_listed_with_why(belt: Belt, monkeypatch: pytest.MonkeyPatch) -> None:
    before = models.versions(NAME)
    with monkeypatch.context() as patch:
        patch.setenv("ESTEIRA_RUN_SECONDS", "0.001")
        settings.cache_clear()
        with pytest.raises(OverBudget, match=r"stopped at the .*fit of .*0.001 s are allowed"):
            plain.run(train, NAME, belt.as_of)
    settings.cache_clear()
    assert models.versions(NAME) == before
    newest = runs.listed([NAME], limit=1)[0]
    assert newest.status == "FAILED"
    assert newest.failure.startswith("OverBudget: The run was stopped")


def test_a_run_without_a_labelled_row_is_listed_with_why(belt: Belt) -> None:
    with pytest.raises(NotEnoughData) as refused:
        plain.run(train, NAME, utc("2013-01-01T05:00"))
    newest = runs.listed([NAME], limit=1)[0]
    assert (newest.status, newest.failure) == ("FAILED", f"NotEnoughData: {refused.value}")


def test_validate_keeps_its_verdict_and_releases_what_passed(belt: Belt) -> None:
    live = ledger.live(NAME)
    assert (live.id, live.model_version, live.actor) == (belt.release, belt.challenger, "gate")
    assert live.evidence["passed"] is True
    assert [subject for subject, _, _ in verdicts.recorded(NAME, "gate")] == [belt.challenger]
    assert "Passed" in artifact("validated")


def test_validating_the_live_model_again_does_not_release_it_again(belt: Belt) -> None:
    again = validate(NAME, belt.as_of, challenger=belt.challenger)
    assert again.release == belt.release
    assert len(ledger.releases(NAME)) == 1


def test_validate_without_a_name_leaves_alone_what_was_judged(belt: Belt) -> None:
    quiet = validate(NAME, belt.as_of)
    assert (quiet.challenger, quiet.release, quiet.verdict) == (None, None, None)
    assert len(verdicts.recorded(NAME, "gate")) == 1


def test_a_model_is_not_judged_before_its_own_moment(belt: Belt) -> None:
    with pytest.raises(InputError, match="cannot be judged as of 2013-02-01"):
        validate(NAME, utc("2013-02-01"), challenger=belt.challenger)


@pytest.mark.parametrize("flow", [train, validate, precompute, monitor])
def test_a_moment_that_was_not_ingested_is_refused(belt: Belt, flow: Any) -> None:
    with pytest.raises(MissingData, match=r"ingested until 2013-03.*2013-06-01.*FLOW=ingest"):
        flow(NAME, utc("2013-06-01"))


def test_precompute_predicts_every_known_flight_ahead_once(belt: Belt) -> None:
    batch = precompute(NAME, belt.as_of)
    history = tables.read(f"cached_predictions_{NAME}")
    assert batch.entities == history.height > 500
    assert history["entity_id"].is_unique().all()
    one = history.row(0, named=True)
    found = cached.read_cached(NAME, ledger.live(NAME).epoch, one["entity_id"])
    assert found is not None
    assert found.output == one["output"]
    assert f"{batch.entities:,}" in artifact("precomputed")


def question(flights: pl.DataFrame) -> dict[str, list[Any]]:
    return flights.drop(EVENT, CREATED).to_dict(as_series=False)


def test_a_whole_day_is_served_logged_joined_with_outcomes_and_free_of_skew(belt: Belt) -> None:
    """Ingest through a day, ask as the moments come, let outcomes arrive, and let the monitor look at all of it."""
    use_case = belt.use_case
    known = use_case.build_entities(tables.read_known(use_case.entity_reads, belt.as_of))
    first = known.filter(pl.col(EVENT) > belt.as_of).sort(EVENT).head(1)
    live = Live(use_case, lambda _: question(first))
    live.start()
    served = 0
    try:
        for hours in (6, 9, 12, 15, 18, 21):
            moment = belt.as_of + timedelta(hours=hours)
            ingest(NAME, moment)
            due = known.filter((pl.col(EVENT) > moment) & (pl.col(EVENT) <= moment + timedelta(hours=2)))
            asked = due.with_columns(pl.lit(int(moment.timestamp())).alias("predicted_at"))
            ids = asked[use_case.entity_id].to_list()
            answers = asyncio.run(live.predict(ids, lambda _, asked=asked: question(asked), as_of=moment)).predictions
            assert [answer.entity_id for answer in answers] == ids
            assert {answer.release for answer in answers} == {belt.release}
            served += len(answers)
    finally:
        live.stop()
    end = belt.as_of + timedelta(days=4)
    ingest(NAME, end)
    seen = monitor(NAME, end)
    newest = seen.windows[-1]
    assert seen.collected == newest.rows == served > 300
    assert newest.quality is not None
    assert newest.quality.known > 0.85 * served  # the others were cancelled or diverted
    assert newest.quality.metrics["auc"].value > 0.6
    assert newest.drift is not None
    assert newest.drift.known
    assert seen.skew.rows == served
    assert seen.skew.unexplained == 0, seen.skew.sentences
    # One window alone never starts a retrain: two of three are needed.
    assert seen.verdict.action in {"keep", "watch"}
    assert seen.done == "nothing"
    assert seen.verdict.sentences[0] in artifact("monitored")
    again = monitor(NAME, end)
    assert (again.collected, again.verdict) == (0, seen.verdict)
    assert len(verdicts.recorded(NAME, "monitor")) == 1


def test_a_retrain_request_is_answered_by_one_challenger_that_names_its_cause(belt: Belt) -> None:
    as_of = belt.as_of + timedelta(days=4)
    request = RetrainRequest(key="k", use_case=NAME, as_of=as_of, reason="Columns moved in two windows.")
    retrain_requests.ask(request)
    trained = train(NAME, as_of, request="k")
    assert trained.cause == request.reason
    assert models.load(NAME, trained.challenger).card.cause == request.reason
    assert retrain_requests.answered_by("k") == trained.challenger
    assert train(NAME, as_of, request="k").challenger == trained.challenger
    validated = validate(NAME, as_of)
    assert validated.challenger == trained.challenger
    assert validated.verdict is not None
    names = {check.name for check in validated.verdict.checks}
    assert "non-inferiority" in names
    assert (validated.release is not None) == validated.verdict.passed


@pytest.mark.parametrize("flow", [ingest, train, validate, precompute, monitor])
def test_an_unknown_use_case_is_refused_by_every_flow_with_those_known(belt: Belt, flow: Any) -> None:
    with pytest.raises(UnknownName, match=r"'flight_dely'. Known: flight_delay"):
        flow("flight_dely", belt.as_of)


def test_a_moment_outside_the_data_is_refused_and_nothing_is_written(belt: Belt) -> None:
    before = tables.versions(["schedules", "arrivals"])
    with pytest.raises(MomentOutsideData, match=r"2019.*2013-01-01"):
        ingest(NAME, utc("2019-01-01"))
    assert tables.versions(["schedules", "arrivals"]) == before


def test_a_moment_without_time_zone_is_refused(belt: Belt) -> None:
    with pytest.raises(InputError, match="no time zone"):
        ingest(NAME, belt.as_of.replace(tzinfo=None))


def test_monitor_and_precompute_say_so_when_nothing_is_released(belt: Belt, home: Any) -> None:
    for flow in (precompute, monitor, train, validate):
        with pytest.raises(MissingData, match="Run the ingest flow"):
            flow(NAME, belt.as_of)
    with pytest.raises(NoRelease, match="ingest, train and validate"):
        steps.live_release.fn(NAME)
    assert not (home / "tables").exists()


def released(belt: Belt, model: str, follows: int) -> ledger.Release:
    kept = ledger.live(NAME).model_dump(include=set(ledger.Proposal.model_fields))
    return ledger.append(ledger.Proposal(**{**kept, "model_version": model}), follows=follows)


def test_what_the_monitor_decides_is_done_once_and_to_the_judged_release_only(belt: Belt) -> None:
    before = ledger.live(NAME)
    bad = released(belt, belt.challenger, before.id)
    verdict = Verdict(action="roll back", as_of=clock.horizon(belt.use_case), sentences=("Worse than a constant.",))
    assert steps.act_on.fn(NAME, bad.id, verdict).startswith("rolled back to")
    restored = ledger.live(NAME)
    assert (restored.restores, restored.actor) == (before.origin, "monitor")
    assert "Worse than a constant." in restored.reason
    assert steps.act_on.fn(NAME, bad.id, verdict) == f"nothing, because release {restored.id} is live by now"
    assert ledger.live(NAME) == restored


def test_a_retrain_is_rung_for_once_answered(belt: Belt) -> None:
    live, as_of = ledger.live(NAME), clock.horizon(belt.use_case)
    verdict = Verdict(action="retrain", as_of=as_of, sentences=("Columns moved.",))
    told = steps.act_on.fn(NAME, live.id, verdict)
    assert told == steps.act_on.fn(NAME, live.id, verdict)
    key = told.removeprefix("asked for a retrain: ")
    retrain_requests.answer(key, belt.challenger)
    assert "was answered by" in steps.act_on.fn(NAME, live.id, verdict)


def test_refusals_are_counted_by_challenger_since_the_last_that_passed(belt: Belt) -> None:
    moment = clock.horizon(belt.use_case)
    since = moment - timedelta(hours=1)
    for hour, (subject, passed) in enumerate([("a", True), ("b", False), ("b", False), ("c", False)]):
        verdicts.record(NAME, "gate", subject, moment + timedelta(minutes=hour), {"passed": passed})
    assert steps._refused_since(NAME, since) == 2


def test_the_status_tells_what_is_live_how_fresh_everything_is_and_what_the_monitor_said(belt: Belt) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESTEIRA_CLOCK", "belt")
        settings.cache_clear()
        plain.run(monitor, NAME, clock.now(belt.use_case))
        with pytest.raises(NotEnoughData):
            plain.run(train, NAME, utc("2013-01-01T05:00"))
        found = status.look(NAME)
    settings.cache_clear()
    assert found.live is not None
    assert found.live.model_version == ledger.live(NAME).model_version
    assert found.live.age(found.now) == (found.now - found.live.model_as_of) / belt.use_case.monitor.maximum_age
    assert {each.table for each in found.tables} >= {each.name for each in belt.use_case.feature_tables}
    assert all(each.until == found.now >= belt.as_of for each in found.tables)
    assert all(each.online == found.now for each in found.tables[-len(belt.use_case.feature_tables) :])
    assert found.monitored is not None
    assert found.monitored.subject == found.live.model_version
    assert found.waiting_bytes == 0
    assert any("NotEnoughData" in each for each in found.failed_runs)
    assert any("training runs failed lately" in each for each in found.troubles)
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["status", NAME])
    assert shown.exit_code == 1
    assert f"release {found.live.release}" in shown.output
    assert "training runs failed lately" in shown.output
