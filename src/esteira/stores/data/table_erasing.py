"""Erase an entity's rows from a table for good: from its newest version, from every older one, and from its log.

Delta keeps what was deleted: older versions in files that nothing removes, the smallest and greatest value of every
column in the log and its checkpoints. So rows are deleted in a new version, files of older versions are removed, the
log loses the statistics that name the entity, and checkpoints are made anew. Each step leaves a table that can be
read, and doing all of them again does no harm.
"""

import json
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

from esteira.settings import settings
from esteira.stewardship.traces import Traces
from esteira.stores.data import tables
from esteira.stores.data.table_locks import cleaning
from esteira.stores.stewardship import byte_scan
from esteira.stores.whole_files import write_whole


def erase(table: str, traces: Traces) -> int:
    """Erase the rows of ``table`` that belong to an entity; returns how many its newest version had.

    Older versions can no longer be read when there were any. Writers wait meanwhile.
    """
    path = settings().tables_path / table
    with cleaning(table):
        doomed = _doomed(table, traces)
        before = _height(table)
        for column, values in doomed.items():
            # A merge, because the values of a plain deletion would be written into the log.
            DeltaTable(str(path)).merge(
                source=pl.DataFrame({"value": values}).to_arrow(),
                predicate=f'target."{column}" = source.value',
                source_alias="source",
                target_alias="target",
            ).when_matched_delete().execute()
        if doomed or byte_scan.places(path, traces.texts):
            _forget_older_versions(path, traces)
        return before - _height(table)


def rows_of(table: str, traces: Traces) -> pl.DataFrame:
    """The rows of ``table`` that belong to an entity by its plain columns."""
    scanned = tables.scan(table)
    return scanned.filter(traces.condition(scanned.collect_schema())).collect()


def _doomed(table: str, traces: Traces) -> dict[str, pl.Series]:
    """Column -> the values whose rows are to go."""
    scanned = tables.scan(table)
    schema = scanned.collect_schema()
    plain = {name: traces.fitting(name, kind) for name, kind in schema.items() if name in traces.values}
    found = {
        name: scanned.filter(pl.col(name).is_in(values.implode())).select(pl.col(name).unique()).collect()[name]
        for name, values in plain.items()
    }
    for name, kind in schema.items():
        if kind == pl.String and name not in plain:  # it may hold JSON, as a logged request does
            texts = scanned.filter(pl.col(name).str.contains_any(traces.texts)).select(pl.col(name).unique()).collect()
            found[name] = pl.Series([text for text in texts[name] if traces.in_json(text)], dtype=pl.String)
    return {name: values for name, values in found.items() if len(values)}


def _height(table: str) -> int:
    return int(tables.scan(table).select(pl.len()).collect().item())


def _forget_older_versions(path: Path, traces: Traces) -> None:
    # Nobody writes now, so files that nothing refers to are those of writers that were killed.
    DeltaTable(str(path)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    log = path / "_delta_log"
    for commit in byte_scan.places(log, traces.texts):
        if commit.suffix == ".json":
            lines = commit.read_bytes().splitlines()
            write_whole(commit, b"".join(_without_values(line, traces) + b"\n" for line in lines))
    newest = DeltaTable(str(path))
    newest.create_checkpoint()
    for checkpoint in log.glob("*.checkpoint*.parquet"):
        if int(checkpoint.name.split(".")[0]) < newest.version():
            checkpoint.unlink()


def _without_values(line: bytes, traces: Traces) -> bytes:
    """A line of the log without smallest and greatest values if they name the entity; counts stay."""
    action = json.loads(line)
    added = action.get("add")
    if added and added.get("stats") and any(text in added["stats"] for text in traces.texts):
        added["stats"] = json.dumps({"numRecords": json.loads(added["stats"])["numRecords"]})
        return json.dumps(action).encode()
    return line
