from pathlib import Path

import pytest

from esteira.contract import utc
from esteira.errors import LedgerMoved, NoRelease, ReleaseError, UnknownName
from esteira.stores.releases import ledger


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
