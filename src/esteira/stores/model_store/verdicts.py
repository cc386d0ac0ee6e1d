"""Verdicts as they were given, kept whole: the gate's and the monitor's reasons behind every release."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from esteira.stores.database import APPEND_ONLY, Moment, transaction

GATE = "gate"
"""The kind under which the gate's verdicts are kept, and the actor of releases it decided."""

SERVICE = "service"
"""The kind under which the verdicts about a challenger's service are kept."""
MONITOR = "monitor"
"""The same of the monitor's."""

_metadata = sa.MetaData()
_verdicts = sa.Table(
    "verdicts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
    sa.UniqueConstraint("use_case", "kind", "subject", "as_of", name="one_verdict_at_a_moment"),
    info=APPEND_ONLY,
)


def record(use_case: str, kind: str, subject: str, as_of: datetime, verdict: Mapping[str, Any]) -> bool:
    """Keep a verdict of ``kind`` (gate, service, monitor) about ``subject``, whole; False when one is kept."""
    row = {"use_case": use_case, "kind": kind, "subject": subject, "as_of": as_of, "verdict": dict(verdict)}
    try:
        with transaction(_metadata) as connection:
            connection.execute(sa.insert(_verdicts).values(**row))
    except sa.exc.IntegrityError:
        return False
    return True


def recorded(use_case: str, kind: str) -> list[tuple[str, datetime, dict[str, Any]]]:
    """All verdicts of ``kind``, oldest first, as (subject, as_of, verdict)."""
    query = sa.select(_verdicts).where(_verdicts.c.use_case == use_case, _verdicts.c.kind == kind)
    with transaction(_metadata) as connection:
        return [(row.subject, row.as_of, row.verdict) for row in connection.execute(query.order_by(_verdicts.c.id))]
