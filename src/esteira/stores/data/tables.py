"""Versioned tables in Delta Lake: raw records, feature rows, predictions.

Every append is one atomic commit that also records how far its writer has come (a Delta application transaction),
so a slice that is written again changes nothing and a crash leaves the table as before or as after.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from types import EllipsisType

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from esteira.contract import CREATED, EVENT
from esteira.errors import DataError, MissingData, UnknownName, WrongColumns
from esteira.settings import settings
from esteira.stores.data.table_locks import appending
from esteira.stores.disk import full_disk_told

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CONFIGURATION: Mapping[str, str | None] = {
    "delta.checkpointInterval": "10",
    # Delta forgets commits older than 30 days by itself, and with them the versions that models name.
    "delta.enableExpiredLogCleanup": "false",
}
_UNTIL = "esteira.until"
_MOST_FILES = 32
_handles: dict[str, DeltaTable] = {}
_lock = Lock()


@appending
def append(
    table: str,
    rows: pl.DataFrame,
    *,
    until: datetime,
    after: datetime | EllipsisType | None = ...,
    writer: str = "ingest",
    partition_by: str | None = None,
    counted: int | None = None,
) -> int:
    """Append ``rows`` as the slice of ``writer`` that ends at ``until``; return the table's version.

    A slice that ends no later than what this writer has already written is left out: same slice twice, same version.
    ``after``, when given, is the horizon the rows were computed from; two writers can then never overlap.
    ``partition_by`` names the column by whose values a new table's files are kept apart.
    ``counted`` is kept with the progress, in the same commit: how many records the writer has taken so far.

    Raises:
        WrongColumns: the rows' columns or types differ from the table's.
        DataError: another writer of the same name committed in between; nothing was written.
        DiskFull: there is no room; nothing was written.
    """
    path = str(settings().tables_path / table)
    current = _open(table) if exists(table) else None  # of its own: nothing may move it before the commit
    written = _progress(current, writer)
    if written is not None and until <= written:
        return int(current.version())  # type: ignore[union-attr]  # what has progress exists
    if after is not ... and written != after:
        raise _overtaken(table, writer, until)
    if current is not None:
        _require_same_columns(table, current, rows)
    progress = [Transaction(app_id=writer, version=(until - _EPOCH) // _MICROSECOND)]
    if counted is not None:
        progress.append(Transaction(app_id=_counter(writer), version=counted))
    try:
        # The handle, not the path: Delta refuses the commit if this writer has moved since the handle was opened.
        write_deltalake(
            current or path,
            rows,
            mode="error" if current is None else "append",
            partition_by=partition_by,
            configuration=_CONFIGURATION if current is None else None,
            commit_properties=CommitProperties(
                app_transactions=progress, custom_metadata={_UNTIL: until.isoformat(), "esteira.writer": writer}
            ),
        )
    except (CommitFailedError, DeltaError) as error:
        if isinstance(error, CommitFailedError) or "already exists" in str(error):
            raise _overtaken(table, writer, until) from error
        raise
    _compact(table)
    return version(table)


def horizon(table: str, *, writer: str = "ingest") -> datetime | None:
    """The end of the newest slice ``writer`` has written into ``table``; None when it has written none."""
    return _progress(_newest(table), writer) if exists(table) else None


def counted(table: str, *, writer: str = "ingest") -> int | None:
    """How many records ``writer`` had taken by its newest slice; None when it does not count."""
    return _newest(table).transaction_version(_counter(writer)) if exists(table) else None


def version(table: str) -> int:
    """The newest version of ``table``. Raises MissingData when there is no such table."""
    return int(_newest(table).version())


def versions(tables: Sequence[str]) -> dict[str, int]:
    """The newest version of each of ``tables``."""
    return {table: version(table) for table in tables}


def exists(table: str) -> bool:
    """Whether ``table`` has been written."""
    return bool(DeltaTable.is_deltatable(str(settings().tables_path / table)))


def names() -> tuple[str, ...]:
    """All tables, by name."""
    root = settings().tables_path
    return tuple(sorted(each.name for each in root.iterdir() if exists(each.name))) if root.is_dir() else ()


def read(
    table: str,
    *,
    columns: Sequence[str] | None = None,
    event_from: datetime | None = None,
    created_after: datetime | None = None,
    created_until: datetime | None = None,
    at_version: int | None = None,
) -> pl.DataFrame:
    """Read ``table``, or only some columns and rows of it, at its newest or an older version; in no promised order.

    Raises MissingData when there is no such table, UnknownName when it has no such version.
    """
    rows = scan(table, at_version=at_version)
    if event_from is not None:
        rows = rows.filter(pl.col(EVENT) >= event_from)
    if created_after is not None:
        rows = rows.filter(pl.col(CREATED) > created_after)
    if created_until is not None:
        rows = rows.filter(pl.col(CREATED) <= created_until)
    return (rows.select(columns) if columns is not None else rows).collect()


def scan(table: str, *, at_version: int | None = None) -> pl.LazyFrame:
    """``table`` to be read later, and only as far as it is needed. Raises as ``read`` does."""
    return pl.scan_delta(_newest(table) if at_version is None else _open(table, at_version))


def read_known(tables: Sequence[str], as_of: datetime) -> Mapping[str, pl.DataFrame]:
    """Each of ``tables`` as it was known at ``as_of``."""
    return {table: read(table, created_until=as_of) for table in tables}


def history(table: str) -> list[dict[str, object]]:
    """The commits of ``table``, newest first, as Delta recorded them."""
    return list(_newest(table).history())


def row_count(table: str, *, at_version: int | None = None) -> int:
    """The rows of ``table`` at its newest or an older version, as its log tells: no data is read."""
    opened = _newest(table) if at_version is None else _open(table, at_version)
    return sum(pl.DataFrame(opened.get_add_actions(flatten=True))["num_records"].to_list())


def slices(table: str, *, writer: str = "ingest") -> dict[int, datetime]:
    """The versions that ``writer`` made, oldest first, with the end of the slice each of them added."""
    return {
        int(str(commit["version"])): datetime.fromisoformat(str(commit[_UNTIL]))
        for commit in reversed(history(table))
        if _UNTIL in commit and commit.get("esteira.writer") == writer
    }


def slice_until(table: str, version: int, *, writer: str = "ingest") -> datetime | None:
    """The end of the newest slice of ``writer`` that ``version`` of ``table`` has; None when there is no such version.

    Raises MissingData when there is no such table.
    """
    try:
        return _progress(_open(table, version), writer)
    except UnknownName:
        return None


def _counter(writer: str) -> str:
    return f"{writer}-counted"


def _compact(table: str) -> None:
    # Every slice is a file, and a reader opens them all; the rows, their order and older versions stay as they are.
    current = _newest(table)
    files = Counter(each.rpartition("/")[0] for each in current.file_uris())  # per partition, if there are any
    if max(files.values(), default=0) > _MOST_FILES:
        with full_disk_told(f"Table {table!r} in fewer files (its new slice is written)"):
            current.optimize.compact()


def _newest(table: str) -> DeltaTable:
    """This process's handle on ``table``, brought up to date: that reads new commits only, opening reads them all."""
    path = str(settings().tables_path / table)
    with _lock:
        handle = _handles.get(path)
        if handle is None or not exists(table):
            handle = _handles[path] = _open(table)
        else:
            handle.update_incremental()
        return handle


def _open(table: str, at_version: int | None = None) -> DeltaTable:
    try:
        return DeltaTable(str(settings().tables_path / table), version=at_version)
    except TableNotFoundError as error:
        raise MissingData(
            f"Table {table!r} does not exist in {settings().tables_path}. Known: {', '.join(names()) or 'none yet'}. "
            "Run the ingest flow first: make flow FLOW=ingest USE_CASE=… AS_OF=…"
        ) from error
    except Exception as error:
        if at_version is not None and "version" in str(error).lower():
            raise UnknownName(
                f"Table {table!r} has no version {at_version}. Its newest is {version(table)}."
            ) from error
        raise


def _progress(table: DeltaTable | None, writer: str) -> datetime | None:
    progress = None if table is None else table.transaction_version(writer)
    return None if progress is None else _EPOCH + progress * _MICROSECOND


def _overtaken(table: str, writer: str, until: datetime) -> DataError:
    return DataError(
        f"Table {table!r} was written by another {writer!r} at the same time, so the slice until {until.isoformat()} "
        "was not written. Run the flow again: it continues from the newest slice."
    )


def _require_same_columns(table: str, current: DeltaTable, rows: pl.DataFrame) -> None:
    stored = pl.scan_delta(current).collect_schema()
    if dict(stored) != dict(rows.schema):
        differing = {
            name: f"{rows.schema.get(name)} instead of {stored.get(name)}"
            for name in [*stored, *(each for each in rows.columns if each not in stored)]
            if stored.get(name) != rows.schema.get(name)
        }
        raise WrongColumns(
            f"The rows for table {table!r} do not have its columns: {differing}. "
            "Nothing was written. Bring the rows into the table's types, or write a table of another name."
        )
