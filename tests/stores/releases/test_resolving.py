from pathlib import Path

import pytest

from esteira.contract import utc
from esteira.errors import InputError, NoRelease, UnknownName
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE, SERVICE
from esteira.stores.releases import ledger
from esteira.stores.releases.resolving import resolve
from tests.serving.models import card, logistic_pipeline

NAME, DAY = "flight_delay", utc("2013-04-01")


def store(version: str, day: str) -> models.Model:
    models.save(logistic_pipeline(), card(version=version, as_of=utc(day)), {})
    return models.load(NAME, version)


def judge(version: str, *, gate: bool, service: bool, at: str = "2013-04-01") -> None:
    verdicts.record(NAME, GATE, version, utc(at), {"passed": gate})
    verdicts.record(NAME, SERVICE, version, utc(at), {"passed": service})


def test_each_rule_names_one_model(home: Path) -> None:
    first, _, _ = store("m1", "2013-03-01"), store("m2", "2013-03-02"), store("m3", "2013-03-03")
    judge("m1", gate=True, service=True)
    judge("m2", gate=True, service=True)
    judge("m3", gate=True, service=False)
    ledger.append(
        ledger.Proposal.of(first, follows=0, actor="t", reason="t", at=DAY, evidence={"passed": True}), follows=0
    )
    assert resolve(NAME, "champion").version == "m1"
    assert resolve(NAME, "latest-blessed").version == "m2"
    assert resolve(NAME, "version=m3").version == "m3"
    judge("m2", gate=False, service=True, at="2013-04-02")
    assert resolve(NAME, "latest-blessed").version == "m1"


def test_a_rule_that_names_nothing_says_so(home: Path) -> None:
    with pytest.raises(NoRelease):
        resolve(NAME, "champion")
    with pytest.raises(UnknownName, match="has passed every check"):
        resolve(NAME, "latest-blessed")
    with pytest.raises(UnknownName, match="m9"):
        resolve(NAME, "version=m9")
    with pytest.raises(InputError, match=r"'latest'. Expected champion, latest-blessed, version=V"):
        resolve(NAME, "latest")
