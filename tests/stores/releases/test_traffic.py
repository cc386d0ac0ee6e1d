"""Traffic in the ledger, with real small models in a real store."""

from pathlib import Path

import pytest

from esteira.contract import utc
from esteira.errors import AlteredModel, InputError, LedgerMoved, NoRelease, ReleaseError, UnknownName
from esteira.model_card import ModelCard
from esteira.rules import Rank
from esteira.stores import audit
from esteira.stores.model_store import models, verdicts
from esteira.stores.releases import ledger, traffic
from tests.serving.models import card, xgboost_pipeline

AT = utc("2013-03-05")
NAME = "flight_delay"
WHY = {"actor": "ann", "reason": "is it better at night?", "at": AT}
PIPELINE = xgboost_pipeline()


def store(version: str, **changes: object) -> ModelCard:
    return models.save(PIPELINE, card(version=version, **changes), {})


def release(stored: ModelCard, at: str = "2013-03-01") -> ledger.Release:
    return ledger.append(
        ledger.Proposal(
            use_case=NAME,
            model_version=stored.version,
            card_sha256=models.load(NAME, stored.version).card_sha256,
            feature_service=stored.feature_service,
            epoch=f"epoch-of-{stored.version}",
            threshold=stored.threshold,
            bounds=stored.bounds,
            actor="gate",
            reason="better",
            evidence={"passed": True},
            released_at=utc(at),
        ),
        follows=ledger.live(NAME).id if ledger.is_released(NAME) else 0,
    )


def judge(version: str, *, passed: bool, at: str = "2013-03-02") -> None:
    verdicts.record(NAME, verdicts.GATE, version, utc(at), {"passed": passed})


@pytest.fixture
def champion(home: Path) -> ledger.Release:
    store("m2")
    return release(store("m1"))


def test_a_shadow_is_a_release_of_the_same_content_with_a_challenger(champion: ledger.Release) -> None:
    changed = traffic.shadow(NAME, "m2", **WHY)
    assert ledger.live(NAME) == changed
    assert (changed.model_version, changed.epoch, changed.origin) == ("m1", champion.epoch, champion.id)
    assert changed.traffic is not None
    assert (changed.traffic.mode, changed.traffic.challenger) == ("shadow", "m2")
    assert changed.traffic.card_sha256 == models.load(NAME, "m2").card_sha256
    assert changed.released_at == AT
    assert ledger.live_since(changed) == champion.released_at
    entry = audit.entries(action="changed traffic")[-1]
    assert (entry.actor, entry.reason, entry.details["traffic"]["challenger"]) == ("ann", WHY["reason"], "m2")


def test_a_share_is_adjusted_by_the_next_row_and_belongs_to_one_comparison(champion: ledger.Release) -> None:
    judge("m2", passed=True)
    assert traffic.comparison(NAME) == []
    shadow = traffic.shadow(NAME, "m2", **WHY)
    first = traffic.split(NAME, "m2", 0.1, **WHY)
    second = traffic.split(NAME, f"{NAME}:m2", 0.3, **WHY)
    assert [each.traffic and each.traffic.share for each in (first, second)] == [0.1, 0.3]
    off = traffic.stop(NAME, **WHY)
    assert ledger.live(NAME) == off
    assert off.traffic is None
    assert traffic.comparison(NAME) == [first, second]
    assert shadow not in traffic.comparison(NAME)


def test_a_rollback_ends_a_split_and_restores_what_was_before_the_champion(champion: ledger.Release) -> None:
    judge("m1", passed=True)
    traffic.shadow(NAME, "m2", **WHY)
    second = release(store("m3"), "2013-03-06")
    split = traffic.split(NAME, "m1", 0.2, **WHY)
    restored = ledger.roll_back(NAME, undoes=split.id, to=None, actor="a", reason="r", at=AT)
    assert (restored.model_version, restored.traffic, restored.origin) == ("m1", None, champion.id)
    assert second.id == ledger.releases(NAME)[2].id
    with pytest.raises(ReleaseError, match="none before it"):
        ledger.roll_back(NAME, undoes=restored.id, to=None, actor="a", reason="r", at=AT)


def test_a_model_that_was_refused_or_never_judged_may_be_shadowed_but_not_answer(champion: ledger.Release) -> None:
    with pytest.raises(ReleaseError, match=r"never judged it.*--shadow m2"):
        traffic.split(NAME, "m2", 0.1, **WHY)
    judge("m2", passed=True)
    judge("m2", passed=False, at="2013-03-03")
    with pytest.raises(ReleaseError, match="the gate refused it"):
        traffic.split(NAME, "m2", 0.1, **WHY)
    assert ledger.live(NAME) == champion
    assert traffic.shadow(NAME, "m2", **WHY).follows == champion.id


@pytest.mark.parametrize("share", [-0.1, 0.0, 1.0, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(champion: ledger.Release, share: float) -> None:
    judge("m2", passed=True)
    with pytest.raises(InputError, match=r"cannot be split off\. Expected more than 0 and less than 1"):
        traffic.split(NAME, "m2", share, **WHY)
    assert ledger.live(NAME) == champion


def test_who_cannot_be_a_challenger_is_refused_with_the_reason(champion: ledger.Release) -> None:
    for wrong, error, words in (
        ("m1", ReleaseError, "is the champion of 'flight_delay' itself, live as release 1"),
        ("flight_duration:m2", InputError, "predicts 'flight_duration' and cannot stand beside"),
        ("m9", UnknownName, "Known: m1, m2"),
    ):
        with pytest.raises(error, match=words):
            traffic.shadow(NAME, wrong, **WHY)
    with pytest.raises(InputError, match="without a reason"):
        traffic.shadow(NAME, "m2", actor="ann", reason="  ", at=AT)
    with pytest.raises(ReleaseError, match="nothing to turn off"):
        traffic.stop(NAME, **WHY)
    with pytest.raises(NoRelease):
        traffic.shadow("flight_duration", "m2", **WHY)
    assert ledger.live(NAME) == champion


def test_an_altered_challenger_is_refused(champion: ledger.Release, home: Path) -> None:
    (file,) = home.rglob("m2/*.ubj")
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises(AlteredModel, match=file.name):
        traffic.shadow(NAME, "m2", **WHY)


def test_ranked_answers_cannot_be_split(champion: ledger.Release) -> None:
    store("m4", rules=(Rank(name="worst first", reason="r"),))
    judge("m4", passed=True)
    with pytest.raises(ReleaseError, match="answers of one request are ranked"):
        traffic.split(NAME, "m4", 0.1, **WHY)


def test_a_challenger_is_not_taken_away_from_another_release_than_the_one_judged(champion: ledger.Release) -> None:
    judged = traffic.shadow(NAME, "m2", **WHY)
    newer = release(store("m3"), "2013-03-06")
    with pytest.raises(LedgerMoved, match=f"release {newer.id} is live"):
        traffic.stop(NAME, undoes=judged.id, **WHY)
