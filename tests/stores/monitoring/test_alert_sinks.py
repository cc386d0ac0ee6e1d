"""Alerts on their way to real receivers on this machine: a web server and a mail server that keep what they get."""

import json
import logging
import socketserver
from collections.abc import Iterator
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from esteira.contract import utc
from esteira.settings import settings
from esteira.stores.monitoring import alerts


class Receiver:
    """What came in, and whether it is taken."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.is_well = True


def alert(number: int, sentence: str = "Refused: slices.") -> alerts.Alert:
    return alerts.Alert(
        key=f"refused {number}", severity="critical" if number == 0 else "warning", owner="o@example.com",
        use_case="flight_delay", subject=f"m{number}", sentence=sentence, opened_at=utc("2013-03-01"),
        link="esteira verdicts show flight_delay m1",
    )  # fmt: skip


def served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def webhook(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if receiver.is_well:
                receiver.got.append(body)
            self.send_response(200 if receiver.is_well else 500)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("ESTEIRA_ALERT_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hooks/secret")
    settings.cache_clear()
    for _ in served(server):
        yield receiver


@pytest.fixture
def mailbox(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 ready\r\n")
            for line in self.rfile:
                match line.split()[0].upper():
                    case b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        lines = iter(self.rfile.readline, b".\r\n")
                        receiver.got.append(message_from_string(b"".join(lines).decode(), policy=policy.default))
                    case b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                self.wfile.write(b"250 fine\r\n")

    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("ESTEIRA_ALERT_SMTP_URL", f"smtp://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("ESTEIRA_ALERT_EMAIL_TO", '["on-call@example.com", "ana@example.com"]')
    settings.cache_clear()
    for _ in served(server):
        yield receiver


def test_an_alert_reaches_every_sink_once(webhook: Receiver, mailbox: Receiver, caplog: Any) -> None:
    alerts.open_alert(alert(0, "AUC fell.\nBcc: nobody@example.com"))
    with caplog.at_level(logging.WARNING, "esteira.alerts"):
        assert [alerts.deliver(), alerts.deliver()] == [3, 0]
    (posted,), (mail,) = webhook.got, mailbox.got
    assert posted["text"].startswith("[critical] flight_delay: m0\nAUC fell.")
    assert (posted["severity"], posted["owner"], posted["alert"]) == ("critical", "o@example.com", "1")
    assert (mail["Subject"], mail["To"]) == ("[critical] flight_delay: m0", "on-call@example.com, ana@example.com")
    assert mail["Bcc"] is None
    assert "Evidence: esteira verdicts show flight_delay m1" in mail.get_content()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_what_a_sink_did_not_take_waits_and_its_secret_is_not_told(webhook: Receiver, caplog: Any) -> None:
    webhook.is_well = False
    alerts.open_alert(alert(1))
    assert alerts.deliver() == 1  # the log has it
    assert "answered 500" in caplog.text
    assert "secret" not in caplog.text
    assert [each.id for each in alerts.undelivered()["webhook"]] == [1]
    webhook.is_well = True
    assert alerts.deliver() == 1
    assert len(webhook.got) == 1
    assert alerts.undelivered() == {}


def test_a_mail_server_that_is_away_stops_nothing(home: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("ESTEIRA_ALERT_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("ESTEIRA_ALERT_EMAIL_TO", '["ana@example.com"]')
    settings.cache_clear()
    alerts.open_alert(alert(1))
    assert alerts.deliver() == 1
    assert "ESTEIRA_ALERT_SMTP_URL did not take an alert" in caplog.text


def test_a_storm_of_alerts_are_some_messages_and_one_that_counts(
    webhook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_ALERTS_AN_HOUR", "5")
    settings.cache_clear()
    for number in range(200):
        alerts.open_alert(alert(number))
    alerts.deliver()
    assert len(webhook.got) == 6
    assert webhook.got[-1]["text"].startswith("195 more alerts, 0 of them critical")
    alerts.open_alert(alert(200))
    alerts.deliver()
    assert len(webhook.got) == 6
    assert [each.id for each in alerts.undelivered()["webhook"]] == [201]
    assert len(alerts.alerts(only_open=True)) == 201


def test_what_somebody_has_seen_to_is_not_sent_any_more(webhook: Receiver) -> None:
    alerts.open_alert(alert(1))
    alerts.acknowledge(1, by="ana", note="Known.")
    alerts.deliver()
    assert webhook.got == []
