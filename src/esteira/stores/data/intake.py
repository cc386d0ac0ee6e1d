"""Take one slice of one raw table in: read, judged against its schema, profiled, committed; or refused whole.

The order of the writes is what makes a kill harmless. Statistics come first: nothing refers to them yet. Then the
quarantine, then the table, whose horizon is what counts. A slice whose quarantine was written and whose rows were not
is finished first, with the same rows kept apart, even if the schema has changed since; so arrived = kept + quarantined.
"""

from datetime import datetime, timedelta

import polars as pl

from esteira.contract import POSITION, RawTable, Source
from esteira.data.reach import require_none_late
from esteira.data.row_rules import Judged, judge_rows, require_columns, set_apart
from esteira.data.schema import TableSchema
from esteira.data.slice_rules import judge_quarantined, judge_slice, require_none_failed
from esteira.stores.data import quarantine, schemas, statistics, tables
from esteira.stores.data.statistics import SliceReport
from esteira.stores.disk import full_disk_told


def take_in(source: Source, table: RawTable, until: datetime) -> tuple[SliceReport, ...]:
    """Take in what arrived since the newest slice of ``table`` until ``until``; the reports of the slices that made.

    Nothing when the table reaches further already; two when a slice that was broken off had to be finished first.

    Raises:
        DataError: a rule failed, records came late, or another ingest wrote at the same time; nothing was written.
        DiskFull: there is no room; the slice is taken in by the next run.
    """
    with full_disk_told(f"The slice of table {table.name!r} until {until.isoformat()}"):
        return _take_in(source, table, until)


def _take_in(source: Source, table: RawTable, until: datetime) -> tuple[SliceReport, ...]:
    after = tables.horizon(table.name)
    if after is not None and until <= after:
        return ()
    schema = schemas.for_slice(source, table, until)
    broken_off = quarantine.pending(table.name, after)
    if broken_off is None:
        return (_take_slice(source, table, schema, after, until),)
    finished = _finish_slice(source, table, schema, after, broken_off)
    return (finished, *_take_in(source, table, until))


def _take_slice(
    source: Source, table: RawTable, schema: TableSchema, after: datetime | None, until: datetime
) -> SliceReport:
    held = tables.horizon(quarantine.table_of(table.name))
    arrived = _read(source, table, after, until)
    judged = judge_rows(arrived, table, schema, after=after, until=until)
    return _commit(source, table, schema, judged, after=after, until=until, held=held)


def _finish_slice(
    source: Source, table: RawTable, schema: TableSchema, after: datetime | None, until: datetime
) -> SliceReport:
    arrived = _read(source, table, after, until)
    require_columns(arrived, table)
    apart = quarantine.identify(arrived, table).is_in(list(quarantine.slice_ids(table.name, until)))
    judged = set_apart(arrived, apart, pl.Series([""]).new_from_index(0, arrived.height), ())
    return _commit(source, table, schema, judged, after=after, until=until, held=until)


def _read(source: Source, table: RawTable, after: datetime | None, until: datetime) -> pl.DataFrame:
    if after is not None:
        taken, counted = tables.counted(table.name) or 0, source.count(table.name, after)
        require_none_late(table.name, source.name, after, taken=taken, counted=counted)
    return source.read(table.name, after or source.span()[0] - timedelta(microseconds=1), until)


def _commit(
    source: Source,
    table: RawTable,
    schema: TableSchema,
    judged: Judged,
    *,
    after: datetime | None,
    until: datetime,
    held: datetime | None,
) -> SliceReport:
    profile = statistics.profile(judged.kept, schema) if judged.kept.height else b""
    distances, measured = statistics.distances_from_before(table.name, profile, after=after, until=until)
    kept, apart = judged.kept.height, judged.quarantined.height
    findings = (
        *judged.findings,
        judge_quarantined(table, schema, arrived=kept + apart, quarantined=apart),
        *judge_slice(judged.kept, table, schema, distances=distances, measured=measured, after=after, until=until),
    )
    require_none_failed(table.name, until, findings)
    readmitted = quarantine.arriving(table, after, until)
    report = SliceReport(
        source=source.name, table=table.name, after=after, until=until, arrived=kept + apart, kept=kept,
        quarantined=apart, readmitted=readmitted.height, findings=findings, profile=profile,
    )  # fmt: skip
    statistics.save(report)
    if apart:
        quarantine.add(table, judged.quarantined, source=source, until=until, expected=held)
    tables.append(
        table.name,
        pl.concat([judged.kept.drop(POSITION, strict=False), readmitted]),
        after=after,
        until=until,
        counted=(tables.counted(table.name) or 0) + report.arrived,
    )
    return report
