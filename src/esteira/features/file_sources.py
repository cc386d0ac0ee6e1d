"""Feast file sources as tables: Parquet files, folders of them, and Delta tables, local or in an object store.

Reading is lazy. Writing becomes visible all at once: a Delta commit, or a file that is renamed into place (an object
store shows an object only when it is complete).
"""

import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import polars as pl
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from feast.data_format import DeltaFormat, ParquetFormat
from feast.errors import FeastOfflineStoreUnsupportedDataSource, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource

from esteira.errors import DataError, InputError, MissingData, WrongColumns

NaiveTimestamps = Literal["refuse", "utc"]
_PARTIAL = ".partial-"


def require_file_source(source: Any) -> Any:
    """``source`` itself. Raises FeastOfflineStoreUnsupportedDataSource unless it is a Parquet or Delta FileSource."""
    if isinstance(source, FileSource) and isinstance(source.file_format, ParquetFormat | DeltaFormat | None):
        return source
    error = FeastOfflineStoreUnsupportedDataSource(
        "EsteiraOfflineStore", f"{getattr(source, 'name', source)} ({type(source).__name__})"
    )
    error.add_note("It reads FileSource with Parquet or Delta (file_format=DeltaFormat()). Declare the source as one.")
    raise error


def is_delta(source: Any) -> bool:
    """Whether ``source`` is declared as a Delta table."""
    return isinstance(source.file_format, DeltaFormat)


def location(source: Any, repo_path: Path | None) -> str:
    """Where ``source`` is: a URL, or an absolute path, or one relative to the Feast repository made whole."""
    return resolve(source.path, repo_path)


def resolve(path: str, repo_path: Path | None) -> str:
    """``path`` as a URL or, when it is local, joined to the Feast repository."""
    local = path.removeprefix("file://")
    return str(FileSource.get_uri_for_file_path(repo_path=repo_path, uri=local))


def storage_options(source: Any) -> dict[str, str]:
    """What the source says about its object store, in the names Polars and deltalake share; empty for local paths."""
    if not is_remote(source.path):
        return {}
    options = {str(name).lower(): str(value) for name, value in (source.resolve_credentials() or {}).items()}
    if endpoint := source.s3_endpoint_override:
        options["aws_endpoint_url"] = endpoint
        if endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    return options


def is_remote(path: str) -> bool:
    """Whether ``path`` is a URL of an object store."""
    return "://" in path and not path.startswith("file://")


def exists(source: Any, repo_path: Path | None) -> bool:
    """Whether anything has been written where ``source`` is."""
    path = location(source, repo_path)
    if is_delta(source):
        return bool(DeltaTable.is_deltatable(path, storage_options=storage_options(source) or None))
    if not is_remote(path):
        return any(Path(path).iterdir()) if Path(path).is_dir() else Path(path).exists()
    try:
        scan(source, repo_path)
    except MissingData:
        return False
    return True


def scan(source: Any, repo_path: Path | None) -> pl.LazyFrame:
    """The rows of ``source``, nothing of them read yet.

    Raises MissingData when there is nothing to read, DataError when what is there cannot be read or reached.
    """
    path, options = location(source, repo_path), storage_options(source) or None
    try:
        if is_delta(source):
            return pl.scan_delta(DeltaTable(path, storage_options=options), storage_options=options)
        rows = pl.scan_parquet(
            path + "/" if is_remote(path) and _is_folder(path) else path,
            storage_options=options,
            hidden_file_prefix=[".", "_"],
            extra_columns="ignore",
        )
        rows.collect_schema()
    except (TableNotFoundError, DeltaError, pl.exceptions.PolarsError, OSError) as error:
        # Absent must never be mistaken for unreachable: the next write would replace what is there.
        absent = isinstance(error, TableNotFoundError | FileNotFoundError) or "paths were empty" in str(error)
        raise (MissingData if absent else DataError)(
            f"Cannot read data source {source.name!r} at {path}: {error}. "
            + (
                f"Write it first, or mend its path; a relative one starts at {repo_path}."
                if absent
                else "Mend it first."
            )
        ) from error
    return rows


def stored_schema(source: Any, repo_path: Path | None) -> dict[str, pl.DataType] | None:
    """The columns ``source`` holds with their types, None when nothing has been written there."""
    return dict(scan(source, repo_path).collect_schema()) if exists(source, repo_path) else None


def append(source: Any, repo_path: Path | None, rows: pl.DataFrame, *, partition_by: Sequence[str] = ()) -> None:
    """Add ``rows``, which have the stored columns and types, to ``source``; the first write creates it.

    A folder receives one more file, or one for each value of ``partition_by`` (Hive layout). A single Parquet file is
    read and written anew: several writers need a folder or a Delta table.
    """
    path, options = location(source, repo_path), storage_options(source) or None
    if is_delta(source):
        write_deltalake(path, rows, mode="append", storage_options=options)
    elif partition_by:
        for values, part in rows.partition_by(list(partition_by), as_dict=True, include_key=False).items():
            names = (f"{key}={quote(str(value), safe='')}" for key, value in zip(partition_by, values, strict=True))
            _write_parquet(part, "/".join([path, *names, f"{uuid.uuid4().hex}.parquet"]), options)
    elif _is_folder(path):
        _write_parquet(rows, f"{path}/{uuid.uuid4().hex}.parquet", options)
    elif exists(source, repo_path):
        _write_parquet(pl.concat([scan(source, repo_path).collect(), rows]), path, options)
    else:
        _write_parquet(rows, path, options)


def require_absent(source: Any, repo_path: Path | None) -> None:
    """Raise SavedDatasetLocationAlreadyExists when something has been written where ``source`` is."""
    if exists(source, repo_path):
        raise SavedDatasetLocationAlreadyExists(location=location(source, repo_path))


def write(source: Any, repo_path: Path | None, rows: pl.DataFrame) -> None:
    """Write ``rows`` as all that ``source`` holds; what was there before is gone."""
    path, options = location(source, repo_path), storage_options(source) or None
    if is_delta(source):
        write_deltalake(path, rows, mode="overwrite", schema_mode="overwrite", storage_options=options)
    elif not _is_folder(path):
        _write_parquet(rows, path, options)
    elif is_remote(path):
        raise InputError(
            f"Cannot replace the folder {path} in an object store at once. Name a file ending in .parquet."
        )
    else:
        _replace_folder(Path(path), lambda folder: rows.write_parquet(folder / f"{uuid.uuid4().hex}.parquet"))


def aware(rows: pl.LazyFrame, columns: Sequence[str], policy: NaiveTimestamps, where: str) -> pl.LazyFrame:
    """``rows`` with the naive datetimes among ``columns`` taken as UTC, said aloud, or refused, as ``policy`` has it.

    Raises WrongColumns when they are refused.
    """
    schema = rows.collect_schema()
    naive = [
        column for column in columns if isinstance(dtype := schema.get(column), pl.Datetime) and dtype.time_zone is None
    ]
    if not naive:
        return rows
    if policy == "refuse":
        raise WrongColumns(
            f"{where} has datetimes without time zone: {naive}. Write them as UTC, or set naive_timestamps: utc under "
            "offline_store in feature_store.yaml to have them taken as UTC."
        )
    warnings.warn(f"{where}: datetimes without time zone are taken as UTC: {naive}.", UserWarning, stacklevel=3)
    return rows.with_columns(pl.col(naive).dt.replace_time_zone("UTC"))


def _is_folder(path: str) -> bool:
    return not path.endswith((".parquet", ".pq")) if is_remote(path) or not Path(path).exists() else Path(path).is_dir()


def _write_parquet(rows: pl.DataFrame, path: str, options: dict[str, str] | None) -> None:
    if is_remote(path):
        rows.write_parquet(path, storage_options=options)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{_PARTIAL}{uuid.uuid4().hex}")
    rows.write_parquet(partial)
    os.replace(partial, target)


def _replace_folder(target: Path, fill: Callable[[Path], Any]) -> None:
    partial = target.with_name(f"{_PARTIAL}{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    fill(partial)
    if target.exists():
        former = target.with_name(f"{_PARTIAL}{uuid.uuid4().hex}")
        target.rename(former)
        partial.rename(target)
        shutil.rmtree(former)
    else:
        partial.rename(target)
