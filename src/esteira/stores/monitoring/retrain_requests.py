"""Requests to retrain: decisions of the monitor, each kept until a challenger answers it; the event only rings."""

from datetime import datetime

import sqlalchemy as sa

from esteira.errors import UnknownName
from esteira.model_card import Frozen
from esteira.stores.database import Moment, transaction


class RetrainRequest(Frozen):
    """One decision to retrain."""

    key: str
    use_case: str
    as_of: datetime
    reason: str


_metadata = sa.MetaData()
_requests = sa.Table(
    "retrain_requests",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)
_answers = sa.Table(
    "retrain_answers",
    _metadata,
    sa.Column("key", sa.String, sa.ForeignKey("retrain_requests.key"), primary_key=True),
    sa.Column("model_version", sa.String, nullable=False),
)


def ask(request: RetrainRequest) -> bool:
    """Keep a retrain request; False when one of the same key is kept already, so it is asked for once."""
    try:
        with transaction(_metadata) as connection:
            connection.execute(sa.insert(_requests).values(**request.model_dump(mode="python")))
    except sa.exc.IntegrityError:
        return False
    return True


def asked(key: str) -> RetrainRequest:
    """The retrain request of this key. Raises UnknownName."""
    with transaction(_metadata) as connection:
        row = connection.execute(sa.select(_requests).where(_requests.c.key == key)).one_or_none()
    if row is None:
        raise UnknownName(f"No retrain request has the key {key!r}. The monitor flow records them before it asks.")
    return RetrainRequest(**row._mapping)


def asked_by(use_case: str) -> list[RetrainRequest]:
    """The retrain requests of a use case, oldest first."""
    query = sa.select(_requests).where(_requests.c.use_case == use_case).order_by(_requests.c.as_of)
    with transaction(_metadata) as connection:
        return [RetrainRequest(**row._mapping) for row in connection.execute(query)]


def answer(key: str, model_version: str) -> str:
    """Note that ``model_version`` answers the request; return the version that did so first. Raises UnknownName."""
    try:
        with transaction(_metadata) as connection:
            connection.execute(sa.insert(_answers).values(key=key, model_version=model_version))
    except sa.exc.IntegrityError:
        asked(key)  # raises when there is no such request
        return answered_by(key) or model_version
    return model_version


def answered_by(key: str) -> str | None:
    """The challenger that answered the request, or None while it is open."""
    with transaction(_metadata) as connection:
        row = connection.execute(sa.select(_answers).where(_answers.c.key == key)).one_or_none()
    return None if row is None else str(row.model_version)
