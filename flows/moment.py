"""The edge where a flow run learns which moment it stands for."""

from datetime import UTC, datetime, timedelta

from prefect.runtime import flow_run

from esteira.contract import utc
from esteira.settings import settings


def moment_of_run(as_of: datetime | str | None) -> datetime:
    """``as_of`` in UTC; for a run that names none, the time it was scheduled for, less the replay shift.

    The scheduled time, not the clock: a run that starts late, or again, stands for the same moment.
    """
    if as_of is not None:
        return utc(as_of)
    scheduled = flow_run.scheduled_start_time or datetime.now(UTC)
    return utc(scheduled) - timedelta(days=settings().replay_days)
