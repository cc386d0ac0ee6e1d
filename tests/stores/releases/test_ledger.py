import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import InputError, LedgerMoved, NoRelease, ReleaseError, UnknownName
from esteira.settings import settings
from esteira.stores import audit, database
from esteira.stores.releases import approvals, ledger
from tests.stores import postgres


def proposal(model: str, at: str = "2013-03-01") -> ledger.Proposal:
    return ledger.Proposal(
        use_case="flight_delay",
        model_version=model,
        card_sha256="0" * 64,
        feature_service="flight_delay_v1",
        epoch=f"epoch-of-{model}",
        threshold=0.4,
        bounds=(0.0, 1.0),
        actor="gate",
        reason="better",
        evidence={"passed": True, "gain": 0.01},
        released_at=utc(at),
    )


def test_nothing_is_live_before_the_first_release(home: Path) -> None:
    assert not ledger.is_released("flight_delay")
    with pytest.raises(NoRelease, match="flight_delay"):
        ledger.live("flight_delay")


def test_the_newest_release_is_live_and_keeps_its_evidence(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    second = ledger.append(proposal("m2", "2013-04-01"), follows=first.id)
    assert ledger.live("flight_delay") == second
    assert second.follows == first.id
    assert second.evidence == {"passed": True, "gain": 0.01}
    assert second.released_at == utc("2013-04-01")


def test_two_releases_cannot_follow_the_same_one(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    ledger.append(proposal("m2"), follows=first.id)
    with pytest.raises(LedgerMoved, match="m3"):
        ledger.append(proposal("m3"), follows=first.id)
    with pytest.raises(LedgerMoved):
        ledger.append(proposal("m3"), follows=0)
    assert [each.model_version for each in ledger.releases()] == ["m2", "m1"]


def test_what_was_live_at_a_past_moment_can_be_asked(home: Path) -> None:
    first = ledger.append(proposal("m1", "2013-03-01"), follows=0)
    ledger.append(proposal("m2", "2013-04-01"), follows=first.id)
    assert ledger.live_at("flight_delay", utc("2013-03-31T23:59:59Z")).model_version == "m1"
    assert ledger.live_at("flight_delay", utc("2013-04-01")).model_version == "m2"
    with pytest.raises(NoRelease, match="2013-02-01"):
        ledger.live_at("flight_delay", utc("2013-02-01"))


def roll_back(to: int | None = None, undoes: int | None = None) -> ledger.Release:
    live = ledger.live("flight_delay").id
    return ledger.roll_back(
        "flight_delay", undoes=undoes or live, to=to, actor="ana", reason="late alarms", at=utc("2013-05-01")
    )


def test_a_rollback_appends_a_release_that_restores_the_earlier_one_whole(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    second = ledger.append(proposal("m2"), follows=first.id)
    restored = roll_back()
    assert (restored.model_version, restored.epoch, restored.evidence) == ("m1", "epoch-of-m1", first.evidence)
    assert (restored.follows, restored.restores, restored.actor) == (second.id, first.id, "ana")
    assert "release 1" in restored.reason
    assert "late alarms" in restored.reason
    assert len(ledger.releases("flight_delay")) == 3


def test_rolling_back_again_goes_further_back_and_never_to_what_was_undone(home: Path) -> None:
    follows = 0
    for model in ("m1", "m2", "bad"):
        follows = ledger.append(proposal(model), follows=follows).id
    assert roll_back().model_version == "m2"
    assert roll_back().model_version == "m1"
    with pytest.raises(ReleaseError, match="nothing to roll back to"):
        roll_back()
    assert ledger.append(proposal("m4", "2013-06-01"), follows=ledger.live("flight_delay").id).model_version == "m4"
    assert ledger.before(ledger.live("flight_delay")) == 5


def test_a_rollback_decided_about_one_release_is_not_done_to_another(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    second = ledger.append(proposal("m2"), follows=first.id)
    ledger.append(proposal("m3"), follows=second.id)
    with pytest.raises(LedgerMoved, match="release 3 is live"):
        roll_back(undoes=second.id)
    assert ledger.live("flight_delay").model_version == "m3"


def test_a_rollback_without_anywhere_to_go_is_refused(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    with pytest.raises(ReleaseError, match="nothing to roll back to"):
        roll_back()
    with pytest.raises(ReleaseError, match="live already"):
        roll_back(to=first.id)
    with pytest.raises(UnknownName, match="Unknown release 9"):
        roll_back(to=9)


def test_releases_go_live_in_the_order_of_their_time(home: Path) -> None:
    first = ledger.append(proposal("m1", "2013-03-01"), follows=0)
    with pytest.raises(ReleaseError, match="cannot go live at 2013-02-01"):
        ledger.append(proposal("m2", "2013-02-01"), follows=first.id)


@pytest.mark.parametrize("evidence", [{}, {"passed": False}, {"passed": "yes"}, {"passed": 1}])
def test_nothing_goes_live_without_a_verdict_that_passed(home: Path, evidence: dict[str, object]) -> None:
    with pytest.raises(ReleaseError, match="'m1' cannot go live: its evidence is not a verdict that passed"):
        ledger.append(proposal("m1").model_copy(update={"evidence": evidence}), follows=0)
    assert not ledger.is_released("flight_delay")


def test_of_ten_promoters_at_once_one_wins(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    gate = threading.Barrier(10)

    def promote(number: int) -> str:
        gate.wait()
        try:
            return ledger.append(proposal(f"m{number}"), follows=first.id).model_version
        except LedgerMoved:
            return "moved"

    with ThreadPoolExecutor(10) as promoters:
        told = list(promoters.map(promote, range(10, 20)))
    (winner,) = [each for each in told if each != "moved"]
    assert told.count("moved") == 9
    assert [each.model_version for each in ledger.releases("flight_delay")] == [winner, "m1"]
    audit.verify()


def test_a_rollback_cannot_smuggle_in_what_was_never_deployed(home: Path) -> None:
    first = ledger.append(proposal("m1"), follows=0)
    second = ledger.append(proposal("m2"), follows=first.id)
    with pytest.raises(ReleaseError, match="cannot be restored with another model_version, epoch"):
        ledger.append(proposal("m3"), follows=second.id, restores=first.id)
    with pytest.raises(UnknownName, match="Unknown release 9"):
        ledger.append(proposal("m1"), follows=second.id, restores=9)


@pytest.fixture
def reviewed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = use_cases.get("flight_delay")
    monkeypatch.setattr(use_cases, "get", lambda _: dataclasses.replace(declared, approval="review"))


def ask(model: str, follows: int = 0) -> approvals.Request:
    return approvals.ask(proposal(model).model_dump(mode="json"), follows=follows, by="Ana")


def test_a_reviewed_use_case_releases_nothing_that_nobody_approved(reviewed: None) -> None:
    with pytest.raises(ReleaseError, match="nobody approved this model in place of release 0"):
        ledger.append(proposal("m1"), follows=0)
    request = ask("m1")
    with pytest.raises(ReleaseError, match="nobody approved"):
        ledger.append(proposal("m1"), follows=0)
    approvals.approve(request.id, by="ben", reason="read the verdict")
    assert ledger.append(proposal("m1"), follows=0).id == 1
    with pytest.raises(ReleaseError, match="in place of release 1"):
        ledger.append(proposal("m1"), follows=1)
    deeds = [(each.actor, each.action) for each in audit.entries()]
    assert deeds == [("Ana", "asked for approval"), ("ben", "approved"), ("gate", "released")]


def test_an_approval_is_for_one_model_and_its_very_card(reviewed: None) -> None:
    approvals.approve(ask("m1").id, by="ben", reason="read")
    other = proposal("m1").model_copy(update={"card_sha256": "1" * 64})
    with pytest.raises(ReleaseError, match="nobody approved"):
        ledger.append(other, follows=0)


@pytest.mark.parametrize("name", ["Ana", " ana ", "ANA", "", "  "])
def test_nobody_approves_what_they_asked_for_themselves(reviewed: None, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot approve it|needs a name"):
        approvals.approve(ask("m1").id, by=name, reason="fine")
    assert not approvals.is_approved("flight_delay", "0" * 64, follows=0)


def test_an_approval_is_asked_for_and_given_once(reviewed: None) -> None:
    request = ask("m1")
    assert ask("m1") == request
    approvals.approve(request.id, by="ben", reason="read")
    with pytest.raises(InputError, match="approved before, by ben"):
        approvals.approve(request.id, by="cleo", reason="read")
    with pytest.raises(UnknownName, match="Unknown request 7"):
        approvals.approve(7, by="cleo", reason="read")


def test_a_rollback_restores_what_was_approved_without_asking_again(reviewed: None) -> None:
    for model, follows in (("m1", 0), ("m2", 1)):
        approvals.approve(ask(model, follows).id, by="ben", reason="read")
        ledger.append(proposal(model), follows=follows)
    assert roll_back().model_version == "m1"


@pytest.mark.services
def test_on_postgresql_the_ledger_keeps_the_same_promises(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.database() as url:
        monkeypatch.setenv("ESTEIRA_LEDGER_URL", url)
        settings.cache_clear()
        test_of_ten_promoters_at_once_one_wins(home)
        restored = roll_back()
        assert (restored.model_version, restored.follows, restored.restores) == ("m1", 2, 1)
        assert ledger.live_at("flight_delay", utc("2013-03-02")).id == 2
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.transaction() as connection:
            connection.exec_driver_sql("UPDATE releases SET actor = 'nobody'")
        database._engine(url).dispose()
