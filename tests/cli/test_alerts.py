from pathlib import Path

import pytest
from typer.testing import CliRunner

from esteira.cli.alerts import app
from esteira.contract import utc
from esteira.errors import AlertError
from esteira.settings import settings
from esteira.stores.monitoring import alerts


def test_an_alert_is_listed_with_where_it_waits_until_somebody_has_seen_to_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_ALERT_WEBHOOK_URL", "http://127.0.0.1:9/nobody-listens")
    settings.cache_clear()
    run = CliRunner()
    assert "No alert is open" in run.invoke(app, ["list"]).output
    alerts.open_alert(
        alerts.Alert(
            key="quality flight_delay 1", severity="warning", owner="o@example.com", use_case="flight_delay",
            subject="m1", sentence="log_loss is above 0.45.", opened_at=utc("2013-03-01"), link="esteira verdicts list",
        )
    )  # fmt: skip
    refused = run.invoke(app, ["deliver"])
    assert isinstance(refused.exception, AlertError)
    assert "wait for webhook (1)" in str(refused.exception)
    listed = run.invoke(app, ["list", "flight_delay"]).output
    assert "log_loss is above 0.45." in listed
    assert "1 wait to be taken by: webhook" in listed
    assert "acknowledged by ana" in run.invoke(app, ["ack", "1", "--by", "ana", "--note", "Retrained."]).output
    assert "No alert is open" in run.invoke(app, ["list"]).output
    assert "Retrained." in run.invoke(app, ["list", "--all"]).output
