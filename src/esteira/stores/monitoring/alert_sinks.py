"""Where alerts go: the log always, a webhook and e-mail if they are set. A sink either took a message or raises."""

import json
import logging
import smtplib
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from functools import partial
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from esteira.errors import AlertError
from esteira.model_card import Frozen
from esteira.settings import settings

_SECONDS = 5.0
_PORTS = {"smtp": 587, "smtps": 465}
_log = logging.getLogger("esteira.alerts")


class Message(Frozen):
    """What a person gets to read: one alert, or how many more there are."""

    title: str
    text: str
    severity: str
    details: Mapping[str, str]
    """What a program may want to know: key, use case, subject, owner, link."""


def sinks() -> dict[str, Callable[[Message], None]]:
    """The sinks that are set, by name."""
    current = settings()
    found: dict[str, Callable[[Message], None]] = {"log": _write}
    if current.alert_webhook_url is not None:
        found["webhook"] = partial(_post, current.alert_webhook_url.get_secret_value())
    if current.alert_smtp_url is not None:
        found["e-mail"] = partial(_mail, urlsplit(current.alert_smtp_url.get_secret_value()))
    return found


def _write(message: Message) -> None:
    level = logging.CRITICAL if message.severity == "critical" else logging.WARNING
    _log.log(level, "%s: %s %s", message.title, message.text, json.dumps(dict(message.details)))


def _post(url: str, message: Message) -> None:
    """``text`` is what chat programs show; the rest is for other receivers."""
    body = {"text": f"{message.title}\n{message.text}", "severity": message.severity, **message.details}
    try:
        httpx.post(url, json=body, timeout=_SECONDS).raise_for_status()
    except httpx.HTTPStatusError as error:  # its own words hold the address, which is a secret
        raise AlertError(
            f"The webhook of ESTEIRA_ALERT_WEBHOOK_URL answered {error.response.status_code}; expected 2xx. Is the "
            "address still the right one?"
        ) from None
    except httpx.HTTPError as error:
        raise AlertError(
            f"The webhook of ESTEIRA_ALERT_WEBHOOK_URL did not take an alert: {type(error).__name__}."
        ) from None


def _mail(url: SplitResult, message: Message) -> None:
    current = settings()
    if url.scheme not in _PORTS or not url.hostname or not current.alert_email_to:
        raise AlertError(
            "E-mail cannot be sent: ESTEIRA_ALERT_SMTP_URL must be smtp://user:password@host:port or smtps://…, and "
            "ESTEIRA_ALERT_EMAIL_TO name at least one address."
        )
    mail = EmailMessage()
    mail["Subject"] = " ".join(message.title.split())  # a line break would begin another header
    mail["From"] = current.alert_email_from
    mail["To"] = ", ".join(current.alert_email_to)
    details = "\n".join(f"{name}: {value}" for name, value in message.details.items())
    mail.set_content(f"{message.text}\n\n{details}\n")
    connect = smtplib.SMTP_SSL if url.scheme == "smtps" else smtplib.SMTP
    try:
        with connect(url.hostname, url.port or _PORTS[url.scheme], timeout=_SECONDS) as server:
            if url.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls()
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise AlertError(f"The server of ESTEIRA_ALERT_SMTP_URL did not take an alert: {error}") from error
