from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from esteira.contract import utc
from esteira.errors import InputError, UnknownName
from esteira.settings import settings
from esteira.stores.monitoring import alerts


def alert(key: str = "refused m1", severity: alerts.Severity = "warning") -> alerts.Alert:
    return alerts.Alert(
        key=key, severity=severity, owner="o@example.com", use_case="flight_delay", subject="m1",
        sentence="Refused: slices.", link="esteira verdicts show flight_delay m1", opened_at=utc("2013-03-01"),
    )  # fmt: skip


def test_an_alert_is_kept_whole_and_newest_first(home: Path) -> None:
    assert alerts.alerts() == []
    assert alerts.open_alert(alert("a"))
    assert alerts.open_alert(alert("b", "critical"))
    newest, oldest = alerts.alerts()
    assert (newest.key, newest.severity, oldest.key) == ("b", "critical", "a")
    assert alerts.Alert(**oldest.model_dump(include=set(alerts.Alert.model_fields))) == alert("a")
    assert newest.acknowledged_by is None


def test_what_is_open_already_is_not_opened_again_until_it_was_acknowledged(home: Path) -> None:
    assert alerts.open_alert(alert())
    assert not alerts.open_alert(alert())
    closed = alerts.acknowledge(alerts.alerts()[0].id, by="ana", note="Retrained.")
    assert (closed.acknowledged_by, closed.note) == ("ana", "Retrained.")
    assert alerts.alerts(only_open=True) == []
    assert alerts.open_alert(alert())
    assert [each.acknowledged_by for each in alerts.alerts()] == [None, "ana"]


def test_many_writers_at_once_open_one_alert(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: alerts.open_alert(alert()), range(24)))
    assert sum(opened) == 1
    assert len(alerts.alerts()) == 1


def test_an_alert_is_acknowledged_once_and_an_unknown_one_never(home: Path) -> None:
    alerts.open_alert(alert())
    number = alerts.alerts()[0].id
    alerts.acknowledge(number, by="ana", note="Seen.")
    with pytest.raises(InputError, match="acknowledged before, by ana"):
        alerts.acknowledge(number, by="ben", note="Mine.")
    with pytest.raises(UnknownName, match=r"alert 99\. Known: 1"):
        alerts.acknowledge(99, by="ben", note="What?")


def test_the_database_refuses_to_change_or_remove_an_alert(home: Path) -> None:
    alerts.open_alert(alert())
    engine = sa.create_engine(settings().ledger)
    for statement in ("UPDATE alerts SET severity = 'warning'", "DELETE FROM alerts"):
        with pytest.raises(sa.exc.DatabaseError, match="append-only"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    engine.dispose()
    assert len(alerts.alerts()) == 1


def test_alerts_of_one_use_case_are_listed_apart(home: Path) -> None:
    alerts.open_alert(alert("a"))
    alerts.open_alert(alert("b").model_copy(update={"use_case": "flight_duration"}))
    assert [each.key for each in alerts.alerts(use_case="flight_duration")] == ["b"]
