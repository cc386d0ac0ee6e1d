"""Outcomes that were reported to services or imported, in one table: every report, and which of them count."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, UseCase
from esteira.monitoring.reported import COUNTED, settle
from esteira.serving.reports import OutcomeReport, require_possible
from esteira.stores.answers import collection, predictions
from esteira.stores.answers.outcome_log import LoggedReport, logged, reports_path
from esteira.stores.data import tables

REPORTS: dict[str, pl.DataType] = {
    "prediction_id": pl.String(),
    "entity_id": pl.String(),
    "outcome": pl.Float64(),
    "source": pl.String(),
    "confidence": pl.Float64(),
    EVENT: MOMENT,
    CREATED: MOMENT,
}
_WHOLE = datetime(1970, 1, 2, tzinfo=UTC)
"""An import is one slice of a writer of its own, so how far it reaches is always the same."""


def collect(use_case: str) -> int:
    """Move what services were told into the table of reports; return how many, each exactly once."""
    return collection.collect(reports_path(use_case), _table(use_case), _rows, REPORTS)


def append(use_case: UseCase, reports: Sequence[OutcomeReport], *, now: datetime) -> int:
    """Add imported reports in one commit; return how many. The same reports again change nothing, and count 0.

    Raises InvalidRequest for an outcome that cannot be; then nothing was written.
    """
    for each in reports:
        require_possible(each, use_case.kind, now)
    content = hashlib.sha256("\n".join(each.model_dump_json() for each in reports).encode()).hexdigest()
    writer = f"import-{content[:32]}"
    if not reports or (tables.exists(_table(use_case.name)) and tables.horizon(_table(use_case.name), writer=writer)):
        return 0
    rows = pl.DataFrame([_columns(logged(each, now)) for each in reports], schema=REPORTS)
    tables.append(_table(use_case.name), rows, until=_WHOLE, writer=writer)
    return rows.height


def read_settled(use_case: str, *, until: datetime | None = None) -> pl.DataFrame:
    """Every report known at ``until`` with the entity it is about and what became of it (reported.settle)."""
    if not tables.exists(_table(use_case)):
        return pl.DataFrame(schema={**REPORTS, "status": pl.String()})
    reports = tables.read(_table(use_case), created_until=until)
    asked = pl.DataFrame(schema={"prediction_id": pl.String, "entity_id": pl.String, "as_of": MOMENT})
    if tables.exists(predictions.table_name(use_case)):
        wanted = reports["prediction_id"].drop_nulls().unique()
        scanned = predictions.scan_predictions(use_case).select(asked.columns)
        asked = scanned.filter(pl.col("prediction_id").is_in(wanted.implode())).collect()
    return settle(reports, asked)


def read_reported(use_case: str, *, until: datetime) -> pl.DataFrame:
    """The reports that count: entity_id, ``outcome`` and the two timestamps."""
    settled = read_settled(use_case, until=until)
    return settled.filter(pl.col("status") == COUNTED).select("entity_id", "outcome", EVENT, CREATED)


def _rows(line: bytes) -> list[dict[str, Any]]:
    return [_columns(LoggedReport.model_validate_json(line))]


def _columns(report: LoggedReport) -> dict[str, Any]:
    row = report.model_dump(exclude={"happened_at", "known_at"})
    return {**row, EVENT: report.happened_at.astimezone(UTC), CREATED: report.known_at.astimezone(UTC)}


def _table(use_case: str) -> str:
    return f"reported_outcomes_{use_case}"
