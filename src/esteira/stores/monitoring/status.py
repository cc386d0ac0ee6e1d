"""How a use case stands at a moment: what is live and how old, how fresh its data is, what the monitor found last."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from esteira import use_cases
from esteira.contract import UseCase
from esteira.errors import MissingData
from esteira.model_card import Frozen
from esteira.stores import clock
from esteira.stores.answers import collection, predictions
from esteira.stores.answers.prediction_log import segments_path
from esteira.stores.data import tables
from esteira.stores.model_store import models, runs, verdicts
from esteira.stores.model_store.verdicts import MONITOR
from esteira.stores.monitoring import alerts
from esteira.stores.releases import ledger
from esteira.traffic import SHADOW

LATELY = timedelta(days=7)


class Reached(Frozen):
    """How far one table has come."""

    table: str
    until: datetime | None
    """Everything that was known by then is in it; None when nothing ever was."""
    online: datetime | None = None
    """The same of its rows in the online store; None for raw tables and what never got there."""


class Live(Frozen):
    """The release that answers, and how old what it knows is."""

    release: int
    model_version: str
    released_at: datetime
    model_as_of: datetime
    allowed_age: timedelta

    def age(self, now: datetime) -> float:
        """The age of its data as a share of what is allowed; above 1 it is too old."""
        return (now - self.model_as_of) / self.allowed_age


class Looked(Frozen):
    """What the monitor decided, once."""

    as_of: datetime
    subject: str
    action: str
    sentences: tuple[str, ...]
    figures: Mapping[str, float]


class Status(Frozen):
    """One use case at one moment."""

    use_case: str
    owner: str
    now: datetime
    live: Live | None
    tables: tuple[Reached, ...]
    answers: Mapping[str, int]
    """Predictions given in the last seven days, as collected, by their source: computed, cached, given."""
    waiting_bytes: int
    """Of the prediction log, not collected yet."""
    waiting_since: datetime | None
    failed_runs: tuple[str, ...]
    """Training runs that failed in the last seven days, with why."""
    monitored: Looked | None
    alerts: tuple[alerts.OpenedAlert, ...]
    undelivered: Mapping[str, int]

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is not as it should be, in sentences; empty when all is well."""
        return tuple(_troubles(self))


def look(use_case: str) -> Status:
    """How a use case stands now, by the belt's clock. Raises MissingData when nothing was ever ingested."""
    declared = use_cases.get(use_case)
    now = clock.now(declared)
    waiting = collection.waiting(segments_path(use_case), predictions.table_name(use_case))
    return Status(
        use_case=use_case,
        owner=declared.owner,
        now=now,
        live=_live(declared),
        tables=tuple(_reached(declared)),
        answers=_answers(use_case, now),
        waiting_bytes=sum(waiting.values()),
        waiting_since=min((datetime.fromtimestamp(each.stat().st_mtime, UTC) for each in waiting), default=None),
        failed_runs=tuple(
            f"as of {run.facts.get('as_of', '?')}: {run.failure}"
            for run in runs.listed([use_case], limit=50)
            if run.failure and datetime.now(UTC) - run.started < LATELY
        ),
        monitored=_looked(use_case),
        alerts=tuple(alerts.alerts(use_case=use_case, only_open=True)),
        undelivered={sink: len(each) for sink, each in alerts.undelivered().items()},
    )


def _live(declared: UseCase) -> Live | None:
    if not ledger.is_released(declared.name):
        return None
    release = ledger.live(declared.name)
    card = models.load(declared.name, release.model_version, card_sha256=release.card_sha256).card
    return Live(
        release=release.id,
        model_version=release.model_version,
        released_at=release.released_at,
        model_as_of=card.as_of,
        allowed_age=declared.monitor.maximum_age,
    )


def _reached(declared: UseCase) -> list[Reached]:
    writer = clock.online_writer()
    raw = sorted({*declared.entity_reads, *declared.outcome_reads})
    return [
        *(Reached(table=name, until=tables.horizon(name)) for name in raw),
        *(
            Reached(table=each.name, until=tables.horizon(each.name), online=tables.horizon(each.name, writer=writer))
            for each in declared.feature_tables
        ),
    ]


def _answers(use_case: str, now: datetime) -> dict[str, int]:
    try:
        lately = predictions.scan_predictions(use_case).filter(
            pl.col("as_of").is_between(now - LATELY, now),
            pl.col("role") != SHADOW,  # nobody was given those
        )
    except MissingData:
        return {}
    counted = lately.group_by("source").len().sort("source").collect()
    return {str(source): int(rows) for source, rows in counted.iter_rows()}


def _looked(use_case: str) -> Looked | None:
    kept: list[tuple[str, datetime, dict[str, Any]]] = verdicts.recorded(use_case, MONITOR)
    if not kept:
        return None
    subject, as_of, verdict = max(kept, key=lambda each: each[1])
    return Looked(
        as_of=as_of,
        subject=subject,
        action=verdict["action"],
        sentences=tuple(verdict["sentences"]),
        figures=verdict["figures"],
    )


def _troubles(status: Status) -> list[str]:
    found = []
    if status.live is None:
        found.append("Nothing is released: run ingest, train and validate.")
    elif (age := status.live.age(status.now)) > 1:
        found.append(f"The live model is too old: {age:.0%} of its allowed age.")
    found += [f"{each.table} was never filled." for each in status.tables if each.until is None]
    if status.live is not None and status.monitored is None:
        found.append("The monitor has never looked: run the monitor flow.")
    if status.failed_runs:
        found.append(f"{len(status.failed_runs)} training runs failed lately; the last: {status.failed_runs[0]}")
    critical = sum(each.severity == "critical" for each in status.alerts)
    if critical:
        found.append(f"{critical} critical alerts are open: esteira alerts list {status.use_case}")
    found += [f"{count} alerts wait to be taken by {sink}." for sink, count in status.undelivered.items()]
    return found
