"""Alerts: what a person must look at, with a link to its evidence. Rows are only ever appended, acknowledgements too.

An alert has a key that says what it is about; while one of a key is open, another of that key is not opened. Once it
was acknowledged, the same thing happening again opens a new one.

Each alert waits for each sink until that has taken it, so nothing is lost while a sink is away; a kill between taking
and noting it repeats a message. In a storm the first ones of an hour go out one by one, and the rest as one message.
"""

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from esteira.errors import AlertError, InputError, UnknownName
from esteira.model_card import Frozen
from esteira.settings import settings
from esteira.stores import database
from esteira.stores.database import Moment, transaction
from esteira.stores.monitoring.alert_sinks import Message, sinks

_HOUR = timedelta(hours=1)
_log = logging.getLogger("esteira.alerts")

Severity = Literal["warning", "critical"]


class Alert(Frozen):
    """Something a person must look at."""

    key: str
    """The same key, the same matter."""
    severity: Severity
    owner: str
    """Who should look: the use case's owner."""
    use_case: str
    subject: str
    """What it is about, e.g. a model's version."""
    sentence: str
    link: str
    """Where the evidence is: a command to run, or an address to open."""
    opened_at: datetime
    """In the belt's time."""


class OpenedAlert(Alert):
    """An alert as it is kept."""

    id: int
    recorded_at: datetime
    """By the wall clock."""
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    note: str | None = None


_metadata = sa.MetaData()
_alerts = sa.Table(
    "alerts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("severity", sa.String, nullable=False),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("sentence", sa.String, nullable=False),
    sa.Column("link", sa.String, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    # Of two writers at once, one opens the alert and the other finds it open.
    sa.UniqueConstraint("key", "round", name="one_open_alert_of_a_key"),
    info=database.APPEND_ONLY,
)
_acknowledgements = sa.Table(
    "alert_acknowledgements",
    _metadata,
    sa.Column("alert", sa.Integer, sa.ForeignKey("alerts.id"), primary_key=True),
    sa.Column("acknowledged_by", sa.String, nullable=False),
    sa.Column("acknowledged_at", Moment, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    info=database.APPEND_ONLY,
)
_deliveries = sa.Table(
    "alert_deliveries",
    _metadata,
    sa.Column("alert", sa.Integer, sa.ForeignKey("alerts.id"), primary_key=True),
    sa.Column("sink", sa.String, primary_key=True),
    sa.Column("delivered_at", Moment, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),  # in one message for many; otherwise in one of its own
    info=database.APPEND_ONLY,
)


def open_alert(alert: Alert) -> bool:
    """Keep ``alert``, for ``deliver`` to bring to the sinks; False when one of its key is open already."""
    earlier = alerts(key=alert.key)
    if any(each.acknowledged_by is None for each in earlier):
        return False
    row = {**alert.model_dump(), "round": len(earlier), "recorded_at": datetime.now(UTC)}
    try:
        with transaction(_metadata) as connection:
            connection.execute(sa.insert(_alerts).values(**row))
    except sa.exc.IntegrityError:
        return False
    return True


def alerts(*, use_case: str | None = None, key: str | None = None, only_open: bool = False) -> list[OpenedAlert]:
    """Alerts, newest first: of a use case, of a key, or only those nobody has acknowledged."""
    query = sa.select(
        *(column for column in _alerts.c if column.name != "round"),
        *(column for column in _acknowledgements.c if column.name != "alert"),
    ).select_from(_alerts.outerjoin(_acknowledgements))
    if use_case is not None:
        query = query.where(_alerts.c.use_case == use_case)
    if key is not None:
        query = query.where(_alerts.c.key == key)
    if only_open:
        query = query.where(_acknowledgements.c.alert.is_(None))
    with transaction(_metadata) as connection:
        return [OpenedAlert(**row._mapping) for row in connection.execute(query.order_by(_alerts.c.id.desc()))]


def deliver() -> int:
    """Bring every alert to every sink that has not had it, and return how many messages were taken.

    A sink that fails is told of in the log; what it has not taken waits for the next call.
    """
    taken = 0
    with _delivering():
        for name, send in sinks().items():
            try:
                taken += _deliver_to(name, send)
            except AlertError as error:
                _log.error("Alerts wait for %s. %s", name, error)
    return taken


def undelivered() -> dict[str, list[OpenedAlert]]:
    """The alerts that each set sink has not taken yet, oldest first; sinks that had all are left out."""
    waiting = {name: _waiting_for(name) for name in sinks()}
    return {name: found for name, found in waiting.items() if found}


def acknowledge(alert: int, *, by: str, note: str) -> OpenedAlert:
    """Note that ``by`` has seen to the alert of this number, and what came of it.

    Raises UnknownName when there is none, InputError when somebody was first.
    """
    row = {"alert": alert, "acknowledged_by": by, "acknowledged_at": datetime.now(UTC), "note": note}
    found = _alert(alert)
    if found.acknowledged_by is None:
        try:
            with transaction(_metadata) as connection:
                connection.execute(sa.insert(_acknowledgements).values(**row))
            return _alert(alert)
        except sa.exc.IntegrityError:
            found = _alert(alert)
    raise InputError(
        f"Alert {alert} was acknowledged before, by {found.acknowledged_by} at {found.acknowledged_at}: {found.note}"
    )


def _deliver_to(sink: str, send: Callable[[Message], None]) -> int:
    waiting, now = _waiting_for(sink), datetime.now(UTC)
    earlier = _delivered_since(sink, now - _HOUR)
    room = max(0, settings().alerts_an_hour - earlier.count(False))
    for alert in waiting[:room]:
        send(_message(alert))
        _note(sink, [alert], counted=False)
    rest = waiting[room:]
    if not rest or True in earlier:  # one such message an hour; what comes later waits for the next
        return len(waiting) - len(rest)
    send(_count(rest))
    _note(sink, rest, counted=True)
    return room + 1


def _waiting_for(sink: str) -> list[OpenedAlert]:
    with transaction(_metadata) as connection:
        had = set(connection.scalars(sa.select(_deliveries.c.alert).where(_deliveries.c.sink == sink)))
    return [each for each in reversed(alerts(only_open=True)) if each.id not in had]


def _delivered_since(sink: str, moment: datetime) -> list[bool]:
    """Of each alert the sink had since: whether it was one of many in its message."""
    query = sa.select(_deliveries.c.counted).where(_deliveries.c.sink == sink, _deliveries.c.delivered_at > moment)
    with transaction(_metadata) as connection:
        return list(connection.scalars(query))


def _note(sink: str, delivered: list[OpenedAlert], *, counted: bool) -> None:
    now = datetime.now(UTC)
    rows = [{"alert": each.id, "sink": sink, "delivered_at": now, "counted": counted} for each in delivered]
    with transaction(_metadata) as connection:
        connection.execute(sa.insert(_deliveries), rows)


def _message(alert: OpenedAlert) -> Message:
    return Message(
        title=f"[{alert.severity}] {alert.use_case}: {alert.subject}",
        text=f"{alert.sentence} Evidence: {alert.link}",
        severity=alert.severity,
        details={
            "alert": str(alert.id), "key": alert.key, "use_case": alert.use_case, "subject": alert.subject,
            "owner": alert.owner, "link": alert.link, "opened_at": alert.opened_at.isoformat(),
        },
    )  # fmt: skip


def _count(rest: list[OpenedAlert]) -> Message:
    critical = sum(each.severity == "critical" for each in rest)
    named = ", ".join(sorted({each.use_case for each in rest}))
    return Message(
        title=f"{len(rest)} more alerts, {critical} of them critical",
        text=f"They are about {named}. List them: esteira alerts list",
        severity="critical" if critical else "warning",
        details={"alerts": ", ".join(str(each.id) for each in rest[:100]), "link": "esteira alerts list"},
    )


@contextmanager
def _delivering() -> Iterator[None]:
    """One process delivers at a time, so that nothing is sent twice by two."""
    path = settings().home / "locks" / "alerts.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _alert(number: int) -> OpenedAlert:
    listed = alerts()
    found = next((each for each in listed if each.id == number), None)
    if found is None:
        raise UnknownName.among("alert", number, [each.id for each in listed], "List them: esteira alerts list")
    return found
