"""Steps that bring records into tables, features and the online store.

Each continues where its tables stand, table by table, so a step that is run again does what is left.
"""

from datetime import UTC, datetime, timedelta

from esteira import use_cases
from esteira.contract import CREATED, EVENT, FeatureTable
from esteira.data.reach import require_within
from esteira.errors import MissingData
from esteira.features.tables import compute_rows, earliest_needed
from esteira.settings import settings
from esteira.stores import clock
from esteira.stores.data import intake, tables
from esteira.stores.data.statistics import SliceReport
from esteira.stores.data.synthetic import require_real
from esteira.stores.feature_store import features, online_features
from flows.steps.step import step

MOST_BEHIND = timedelta(hours=3)
"""How far behind its moment the last ingest of a run's data may be."""


@step
def require_reach(use_case: str, as_of: datetime) -> None:
    """Raise MomentOutsideData unless the source reaches ``as_of``."""
    source = use_cases.get(use_case).source
    require_within(as_of, source.span(), source.name, present=datetime.now(UTC))


@step
def require_ingested(use_case: str, as_of: datetime) -> None:
    """Raise MissingData unless features reach ``as_of``, or nearly: schedules do not meet to the minute.

    A belt whose ingest has died must not go on deciding from what it last saw.
    """
    declared = use_cases.get(use_case)
    reached = clock.horizon(declared)
    if reached < as_of - MOST_BEHIND:
        names = [table.name for table in declared.feature_tables]
        behind = [f"{name} (version {made})" for name, made in tables.versions(names).items()]
        raise MissingData(
            f"Data of {use_case!r} was ingested until {reached.isoformat()}, but {as_of.isoformat()} was asked for. "
            f"Missing is what came since in the feature tables {', '.join(behind)}. "
            f"Ingest first: make flow FLOW=ingest USE_CASE={use_case} AS_OF={as_of:%Y-%m-%dT%H:%M:%SZ}"
        )


@step
def append_raw(use_case: str, as_of: datetime) -> tuple[SliceReport, ...]:
    """Take in, table by table, what arrived since the last slice until ``as_of``, if it is sound; a report a slice.

    In production raises DataError when the source is set to invented data.
    """
    source = use_cases.get(use_case).source
    if settings().production:
        require_real(source)
    return tuple(report for table in source.tables for report in intake.take_in(source, table, as_of))


def summarise(use_case: str, slices: tuple[SliceReport, ...]) -> tuple[dict[str, int], dict[str, int], tuple[str, ...]]:
    """Rows that went into each raw table, rows that were kept apart, and every finding but those that all is well."""
    written = {table.name: 0 for table in use_cases.get(use_case).source.tables}
    apart = dict(written)
    for each in slices:
        written[each.table] += each.kept + each.readmitted
        apart[each.table] += each.quarantined
    told = tuple(str(found) for each in slices for found in each.findings if found.outcome != "pass")
    return written, {table: rows for table, rows in apart.items() if rows}, told


@step
def append_features(use_case: str, as_of: datetime) -> dict[str, int]:
    """Compute and append the rows of each feature table that became known since its last slice; rows per table."""
    return {table.name: _append_feature_table(table, as_of) for table in use_cases.get(use_case).feature_tables}


@step
def apply_feature_repository() -> None:
    """Bring Feast's registry to what feature_repo declares."""
    features.apply()


@step
def write_online(use_case: str, as_of: datetime) -> dict[str, int]:
    """Write to the online store what became known in each feature table since the last write; entities per view."""
    return {table.name: _write_online_view(table.name, as_of) for table in use_cases.get(use_case).feature_tables}


def _append_feature_table(table: FeatureTable, as_of: datetime) -> int:
    after = tables.horizon(table.name)
    if after is not None and as_of <= after:
        return 0
    new = {
        raw: tables.read(raw, columns=[EVENT, CREATED], created_after=after, created_until=as_of) for raw in table.reads
    }
    # With nothing new, a moment no event reaches reads no record but keeps the columns.
    since = earliest_needed(table, new) or as_of + timedelta(days=36500)
    records = {raw: tables.read(raw, event_from=since, created_until=as_of) for raw in table.reads}
    rows = compute_rows(table, records, after=after, until=as_of)
    tables.append(table.name, rows, after=after, until=as_of)
    return rows.height


def _write_online_view(view: str, as_of: datetime) -> int:
    writer = clock.online_writer()
    after = tables.horizon(view, writer=writer)
    until = as_of if after is None else max(as_of, after)
    # An online store that was lost is filled again from the beginning, whatever was noted about it.
    since = None if online_features.is_empty(features.open_store(), view) else after
    if since == until:
        return 0
    rows = tables.read(view, created_after=since, created_until=until)
    written: int = online_features.write_online(features.open_store(), view, rows) if rows.height else 0
    if after != until:
        tables.append(view, rows.clear(), after=after, until=until, writer=writer)
    return written
