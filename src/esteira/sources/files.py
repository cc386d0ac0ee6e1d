"""Files in a folder as a source: CSV, gzipped CSV and Parquet, declared by a pattern and needing no code.

A record is known from the moment its column says, or from when its file was last modified. Files that are being
written are not looked at: deliver under a name that starts with a dot or ends in ``.tmp`` or ``.part``, then rename.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, POSITION, RawTable
from esteira.errors import DataError, InputError, MissingData, UnknownName
from esteira.sources.csv_text import read_csv
from esteira.sources.location import location_of
from esteira.sources.parquet import read_parquet

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNFINISHED = (".tmp", ".part")


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of one table: their names, and what their columns mean."""

    table: RawTable
    pattern: str
    """Names under the source's folder, such as ``orders/*.csv.gz``."""
    event: str
    """The column of the moment at which a record was true."""
    created: str | None = None
    """The column of the moment at which it was known; None: when its file was last modified."""
    zone: str = "UTC"
    """The time zone of moments that are written without one."""
    nulls: tuple[str, ...] = ("",)
    """What a missing field of a CSV file looks like."""
    ignored: tuple[str, ...] = ()
    """Columns that may be there and are left out."""
    called: Mapping[str, str] = field(default_factory=dict)
    """What a column of the table is called in the files, where that differs."""

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """The columns a file must have."""
        moments = [self.event] if self.created is None else [self.event, self.created]
        values = {self.called.get(name, name): kind for name, kind in self.table.columns.items()}
        return {**dict.fromkeys(moments, MOMENT), **values}


@dataclass(frozen=True, kw_only=True)
class FilesSource:
    """Answers what had arrived between two moments, from files in one folder."""

    name: str
    files: tuple[Files, ...]
    schema_file: Path
    folder: str | None = None
    """None: the operator says (ESTEIRA_SOURCE_LOCATIONS)."""
    _read: dict[tuple[str, str, int, int], pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)
    """Each version of each file is read once."""

    @property
    def tables(self) -> tuple[RawTable, ...]:
        """The tables its files hold."""
        return tuple(each.table for each in self.files)

    def span(self) -> tuple[datetime, datetime | None]:
        """From the first record on, without end. Raises MissingData when there is no file or no record."""
        firsts = [self._records(each)[CREATED].min() for each in self.files]
        known = [first for first in firsts if isinstance(first, datetime)]
        if not known:
            raise MissingData(
                f"The files of source {self.name!r} hold no record: {[each.pattern for each in self.files]} in "
                f"{self._folder()}. Deliver some, or set ESTEIRA_SOURCE_LOCATIONS to another folder."
            )
        return min(known), None

    def read(self, table: str, after: datetime, until: datetime) -> pl.DataFrame:
        """The records of ``table`` with ``after < created_timestamp <= until``, each with its file and line.

        Raises DataError, or WrongColumns, for the first file that cannot be read as declared.
        """
        return self._records(self._named(table)).filter((pl.col(CREATED) > after) & (pl.col(CREATED) <= until))

    def count(self, table: str, until: datetime) -> int:
        """How many records of ``table`` are known at ``until``. Raises as ``read`` does."""
        return int((self._records(self._named(table))[CREATED] <= until).sum())

    def _named(self, table: str) -> Files:
        found: Mapping[str, Files] = {each.table.name: each for each in self.files}
        if table not in found:
            raise UnknownName.among("table", table, found, f"They are declared by source {self.name!r}.")
        return found[table]

    def _folder(self) -> Path:
        folder = Path(location_of(self.name, self.folder)).expanduser()
        if not folder.is_dir():
            raise MissingData(f"The folder {str(folder)!r} of source {self.name!r} does not exist. Create or set it.")
        return folder

    def _records(self, files: Files) -> pl.DataFrame:
        folder = self._folder()
        found = sorted(
            path
            for path in folder.glob(files.pattern)
            if path.is_file() and not path.name.startswith(".") and path.suffix not in _UNFINISHED
        )
        if not found:
            raise MissingData(
                f"No file of table {files.table.name!r} fits {files.pattern!r} in {folder}. Deliver one, or mend the "
                f"pattern in the declaration of source {self.name!r}."
            )
        whole = pl.concat(self._records_of(path, files) for path in found)
        return whole.sort(CREATED, EVENT, *files.table.keys, POSITION)

    def _records_of(self, path: Path, files: Files) -> pl.DataFrame:
        stat = path.stat()
        key = (files.table.name, str(path), stat.st_mtime_ns, stat.st_size)  # one file may hold two tables
        if key not in self._read:
            delivered = _read(path, files)
            changed = path.stat()
            if (changed.st_mtime_ns, changed.st_size) != key[2:]:
                raise DataError(
                    f"{path.name} was changed while it was read. Deliver whole files, and rename them into place."
                )
            modified = _EPOCH + timedelta(microseconds=stat.st_mtime_ns // 1000)
            known = pl.lit(modified, MOMENT) if files.created is None else pl.col(files.created)
            timed = delivered.with_columns(pl.col(files.event).alias(EVENT), known.alias(CREATED))
            _require_known(timed, files)
            timed = timed.with_columns(pl.col(theirs).alias(ours) for ours, theirs in files.called.items())
            self._read[key] = timed.select(*files.table.schema, POSITION)
        return self._read[key]


def _read(path: Path, files: Files) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return read_parquet(path, files.columns, ignored=files.ignored, zone=files.zone)
    if path.suffixes[-1:] == [".csv"] or path.suffixes[-2:] == [".csv", ".gz"]:
        return read_csv(path, files.columns, ignored=files.ignored, nulls=files.nulls, zone=files.zone)
    raise InputError(
        f"{path.name} is none of .csv, .csv.gz and .parquet. Narrow the pattern {files.pattern!r} of table "
        f"{files.table.name!r}, or deliver another format."
    )


def _require_known(rows: pl.DataFrame, files: Files) -> None:
    unknown = rows.filter(pl.col(CREATED).is_null())
    if unknown.height:
        raise DataError(
            f"{unknown[POSITION][0]}: column {files.created!r} is empty, so nobody can say when the record was known "
            f"({unknown.height} such records). Nothing of the file was taken. Have it delivered again."
        )
