from pathlib import Path

import pytest

from esteira import use_cases
from esteira.errors import AlteredModel
from esteira.stores.monitoring import alerts
from esteira.stores.releases import alarming, ledger
from tests.stores.releases.test_ledger import proposal

DECLARED = use_cases.get("flight_delay")


def fail_to_load(release: ledger.Release) -> None:
    with (
        pytest.raises(AlteredModel, match="was recorded"),
        alarming.alarm_if_not_loaded(DECLARED, release),
    ):
        raise AlteredModel("File 'trees.ubj' has the SHA-256 1, but 2 was recorded.")


def test_a_release_that_cannot_be_loaded_opens_one_alert_however_often_it_is_tried(home: Path) -> None:
    release = ledger.append(proposal("m1"), follows=0)
    for _ in range(3):
        fail_to_load(release)
    (alert,) = alerts.alerts(only_open=True)
    assert (alert.severity, alert.subject, alert.owner) == ("critical", "m1", DECLARED.owner)
    assert "AlteredModel: File 'trees.ubj'" in alert.sentence


def test_the_failure_is_what_is_raised_even_if_nobody_can_be_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = ledger.append(proposal("m1"), follows=0)

    def gone(_: alerts.Alert) -> bool:
        raise OSError("the database is gone")

    monkeypatch.setattr(alerts, "open_alert", gone)
    fail_to_load(release)


def test_what_loads_alarms_nobody(home: Path) -> None:
    release = ledger.append(proposal("m1"), follows=0)
    with alarming.alarm_if_not_loaded(DECLARED, release):
        pass
    assert alerts.alerts() == []
