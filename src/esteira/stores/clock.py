"""What time it is for a use case: the wall clock, or in a replay the moment the belt has ingested to."""

import hashlib
from datetime import UTC, datetime, timedelta

from esteira.contract import UseCase
from esteira.errors import MissingData
from esteira.settings import settings
from esteira.stores.data import tables
from esteira.stores.feature_store.online_identity import online_identity


def now(use_case: UseCase) -> datetime:
    """The present, as ``ESTEIRA_CLOCK`` defines it; the edge at which a service or an operator's command learns it."""
    if settings().clock == "belt":
        return horizon(use_case)
    return datetime.now(UTC) - timedelta(days=settings().replay_days)


def online_writer() -> str:
    """Under this name a table keeps how far it was written online: a store that was never written starts anew."""
    if settings().online_store == "sqlite":
        return "online"
    place = f"{settings().redis_url.get_secret_value()} {online_identity()}"
    return f"online-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def horizon(use_case: UseCase) -> datetime:
    """The moment up to which all features of the use case can be looked up online. Raises MissingData.

    Offline tables are ahead of it while an ingest is under way.
    """
    reached = [tables.horizon(table.name, writer=online_writer()) for table in use_case.feature_tables]
    known = [moment for moment in reached if moment is not None]
    if len(known) < len(reached):
        absent = [t.name for t, moment in zip(use_case.feature_tables, reached, strict=True) if moment is None]
        raise MissingData(
            f"Feature tables {absent} of use case {use_case.name!r} have never reached the online store. "
            f"Run the ingest flow: make flow FLOW=ingest USE_CASE={use_case.name} AS_OF=…"
        )
    return min(known)
