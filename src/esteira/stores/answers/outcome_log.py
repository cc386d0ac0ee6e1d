"""The outcome log of one process: what a service was told became of predictions is on disk before it is confirmed."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime

from esteira.contract import UseCase
from esteira.model_card import Frozen
from esteira.serving.reports import OutcomeReport, OutcomeReports, Taken, require_possible
from esteira.settings import settings
from esteira.stores import clock
from esteira.stores.answers.segments import SegmentLog


class LoggedReport(Frozen):
    """A report as it stands in the log, with the moment it is known from."""

    prediction_id: str | None
    entity_id: str | None
    outcome: float
    source: str
    confidence: float
    happened_at: AwareDatetime
    known_at: AwareDatetime


class OutcomeLog:
    """Where one process of a service keeps what it is told."""

    def __init__(self, use_case: UseCase) -> None:
        """Prepare; nothing is opened before ``start``."""
        self._use_case = use_case

    def start(self) -> None:
        """Open the log."""
        name = f"outcome log of {self._use_case.name!r}"
        self._log = SegmentLog(reports_path(self._use_case.name), name=name, started_at=datetime.now(UTC))

    def stop(self) -> None:
        """Write what is waiting."""
        self._log.close()

    async def report(self, asked: OutcomeReports) -> Taken:
        """Take reports; they are on disk when this returns. Raises InvalidRequest, DataError."""
        now = await asyncio.to_thread(clock.now, self._use_case)
        for each in asked.outcomes:
            require_possible(each, self._use_case.kind, now)
        lines = b"".join(logged(each, now).model_dump_json().encode() + b"\n" for each in asked.outcomes)
        await asyncio.wrap_future(self._log.write(lines, count=len(asked.outcomes)))
        return Taken(taken=len(asked.outcomes))


def logged(report: OutcomeReport, now: datetime) -> LoggedReport:
    """The report as it is kept; what does not say when it became known is known from ``now``."""
    known = report.known_at or max(now, report.happened_at)
    return LoggedReport(**{**report.model_dump(), "known_at": known})


def reports_path(use_case: str) -> Path:
    """The folder with the segments services write."""
    return settings().outcome_log_path / use_case
