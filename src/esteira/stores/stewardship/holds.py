"""Holds: what must not be removed for now, whatever its retention, and who said so. Rows are only appended."""

from datetime import UTC, datetime

import sqlalchemy as sa

from esteira.errors import InputError, UnknownName
from esteira.model_card import Frozen
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit, database
from esteira.stores.database import APPEND_ONLY, Moment
from esteira.stores.stewardship.mask_key import token

KINDS = ("table", "training-set", "model", "profiles", "entity")


class Hold(Frozen):
    """One item that is held."""

    id: int
    item: str
    """``kind:name``, such as ``table:arrivals``; an entity is named by a token of its value."""
    actor: str
    reason: str
    placed_at: datetime


_metadata = sa.MetaData()
_holds = sa.Table(
    "holds",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("item", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("placed_at", Moment, nullable=False),
    info=APPEND_ONLY,
)
_lifted = sa.Table(
    "lifted_holds",
    _metadata,
    sa.Column("hold", sa.Integer, sa.ForeignKey("holds.id"), primary_key=True),
    info=APPEND_ONLY,
)


def item_of(text: str) -> str:
    """The item a person named, e.g. ``table:arrivals``; of ``entity:COLUMN=VALUE`` only a token is kept.

    Raises InputError.
    """
    kind, _, name = text.partition(":")
    if kind not in KINDS or not name:
        raise InputError(f"Cannot hold {text!r}. Expected KIND:NAME, where KIND is one of {', '.join(KINDS)}.")
    if kind != "entity":
        return text
    column, equals, value = name.partition("=")
    if not equals or not value:
        raise InputError("An entity is held as entity:COLUMN=VALUE, such as entity:tailnum=N0TAIL.")
    return f"entity:{column}={token(column, value)[:16]}"


def place(text: str, *, actor: str, reason: str) -> Hold:
    """Hold an item until the hold is lifted."""
    item = item_of(text)
    insert = sa.insert(_holds).values(item=item, actor=actor, reason=_stated(reason), placed_at=datetime.now(UTC))
    with audit.transaction(_metadata) as connection:
        written = connection.execute(insert.returning(*_holds.c)).one()
        audit.write(connection, Deed(actor=actor, action="held", subject=item, reason=reason))
    return Hold(**written._mapping)


def lift(hold_id: int, *, actor: str, reason: str) -> Hold:
    """Let retention and forgetting have an item again. Raises UnknownName when no such hold stands."""
    standing = {hold.id: hold for hold in active()}
    if hold_id not in standing:
        raise UnknownName.among("hold", hold_id, standing, "See: esteira data holds")
    hold = standing[hold_id]
    with audit.transaction(_metadata) as connection:
        connection.execute(sa.insert(_lifted).values(hold=hold_id))
        audit.write(connection, Deed(actor=actor, action="lifted hold", subject=hold.item, reason=_stated(reason)))
    return hold


def active() -> list[Hold]:
    """The holds that stand, oldest first."""
    query = sa.select(_holds).where(_holds.c.id.not_in(sa.select(_lifted.c.hold))).order_by(_holds.c.id)
    with database.transaction(_metadata) as connection:
        return [Hold(**row._mapping) for row in connection.execute(query)]


def _stated(reason: str) -> str:
    if not reason.strip():
        raise InputError("A hold is placed and lifted for a reason, which is kept in the audit log. State it.")
    return reason
