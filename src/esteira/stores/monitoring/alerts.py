"""Alerts: what a person must look at, with a link to its evidence. Rows are only ever appended, acknowledgements too.

An alert has a key that says what it is about; while one of a key is open, another of that key is not opened. Once it
was acknowledged, the same thing happening again opens a new one.
"""

from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa

from esteira.errors import InputError, UnknownName
from esteira.model_card import Frozen
from esteira.stores import database
from esteira.stores.database import Moment, transaction

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


def open_alert(alert: Alert) -> bool:
    """Keep ``alert``; False when one of its key is open already."""
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


def _alert(number: int) -> OpenedAlert:
    listed = alerts()
    found = next((each for each in listed if each.id == number), None)
    if found is None:
        raise UnknownName.among("alert", number, [each.id for each in listed], "List them: esteira alerts list")
    return found
