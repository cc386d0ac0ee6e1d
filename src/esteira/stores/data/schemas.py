"""Schemas of sources as files: the accepted one beside the use case, the proposed one under the belt's home.

Only ``accept`` changes an accepted schema. A first ingest without one proposes it and is checked against the proposal;
no later slice is taken in before a person has accepted it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from esteira.contract import EVENT, RawTable, Source
from esteira.data import propose as proposing
from esteira.data.schema import SourceSchema, TableSchema, from_text, require_declared, to_text
from esteira.errors import DataError, MissingData
from esteira.monitoring.profile import merge, read_profile
from esteira.settings import settings
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.data import statistics, tables
from esteira.stores.whole_files import write_whole

_FEWEST_ROWS, _FEWEST_DAYS = 50, 4


def accepted(source: Source) -> SourceSchema | None:
    """The schema a person accepted; None when there is none yet."""
    return _load(source) if source.schema_file.is_file() else None


def proposed(source: Source) -> SourceSchema:
    """The schema proposed last. Raises MissingData when none was, or it was accepted since."""
    path = settings().proposed_schemas_path / f"{source.name}.json"
    if not path.is_file():
        raise MissingData(
            f"No schema of source {source.name!r} is proposed. Propose one: esteira data schema propose USE_CASE"
        )
    return from_text(path.read_text(encoding="utf-8"), str(path))


def propose(source: Source, until: datetime) -> SourceSchema:
    """Propose a schema from all that had arrived by ``until``; an accepted one is only widened where data breaks it."""
    current = accepted(source)
    schema = SourceSchema(
        source=source.name,
        tables={
            table.name: _propose_table(
                source, table, until, None if current is None else current.tables.get(table.name)
            )
            for table in source.tables
        },
    )
    path = settings().proposed_schemas_path / f"{source.name}.json"
    write_whole(path, to_text(schema).encode())
    return schema


def accept(source: Source, *, actor: str, reason: str) -> SourceSchema:
    """Make the proposed schema the accepted one, in the file the source declares; it is to be committed."""
    schema = proposed(source)
    audit.record(Deed(actor=actor, action="accepted schema", subject=f"source:{source.name}", reason=reason))
    write_whole(source.schema_file, to_text(schema).encode())
    (settings().proposed_schemas_path / f"{source.name}.json").unlink()
    return schema


def for_slice(source: Source, table: RawTable, until: datetime) -> TableSchema:
    """The schema by which the slice of ``table`` until ``until`` is checked.

    Raises:
        DataError: the table has slices already, and its schema was proposed but not accepted.
        WrongColumns: the schema speaks of other columns or types than the table declares.
    """
    schema, where = accepted(source), str(source.schema_file)
    if schema is None or table.name not in schema.tables:
        if tables.exists(table.name):
            raise DataError(
                f"The schema of table {table.name!r} of source {source.name!r} was proposed and nobody has accepted "
                f"it, so the slice until {until.isoformat()} was not read. Review the proposal and accept it into "
                f"{where}: esteira data schema diff, then accept."
            )
        schema, where = propose(source, until), "the proposal"
    require_declared(schema.tables[table.name], table, where)
    return schema.tables[table.name]


def _load(source: Source) -> SourceSchema:
    return from_text(source.schema_file.read_text(encoding="utf-8"), str(source.schema_file))


def _propose_table(source: Source, table: RawTable, until: datetime, current: TableSchema | None) -> TableSchema:
    rows = source.read(table.name, source.span()[0] - timedelta(microseconds=1), until)
    plain = proposing.propose(rows, table, shifts={})
    return proposing.propose(rows, table, current=current, shifts=_daily_shifts(rows, plain))


def _daily_shifts(rows: pl.DataFrame, schema: TableSchema) -> Mapping[str, float]:
    """For each column, how far a day's values lie at most from those of all days before it, with room.

    A column whose days differ as much as can be gets no limit.
    """
    dated = rows.sort(EVENT).with_columns(pl.col(EVENT).dt.date().alias("_day"))
    days = [day for day in dated.partition_by("_day", maintain_order=True) if day.height >= _FEWEST_ROWS]
    if len(days) < _FEWEST_DAYS:
        return {}
    profiles = [statistics.profile(day, schema) for day in days]
    most: dict[str, float] = {}
    whole = merge(profiles[: _FEWEST_DAYS - 1])
    for one in profiles[_FEWEST_DAYS - 1 :]:
        for name, distance in statistics.distances_between(read_profile(whole), read_profile(one)).items():
            most[name] = max(most.get(name, 0.0), distance)
        whole = merge([whole, one])
    limits = {name: round(1.5 * distance + 0.05, 3) for name, distance in most.items()}
    return {name: limit for name, limit in limits.items() if limit < 1}  # days that have nothing in common tell nothing
