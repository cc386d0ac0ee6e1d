"""Read a CSV file strictly: what cannot be read for certain is refused, with the file and the line.

The text must be UTF-8 (a byte order mark at its start is passed over), every record must have as many fields as the
header, and every field must be a value of its column's declared type.
"""

import csv
import gzip
import io
import zlib
from array import array
from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from esteira.contract import POSITION
from esteira.errors import DataError
from esteira.sources.conversion import from_text
from esteira.sources.delivered import require_names

_OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_MARK = "\ufeff"


def read_csv(
    path: Path, columns: Mapping[str, pl.DataType], *, ignored: Collection[str], nulls: Collection[str], zone: str
) -> pl.DataFrame:
    """The ``columns`` of a CSV file (plain or ``.gz``) in their types, and the line of each record as its position.

    A field that is one of ``nulls`` is missing; moments without offset are those of ``zone``; ``ignored`` columns may
    be there and are left out.

    Raises:
        WrongColumns: the header is not what is declared.
        DataError: the file is cut off, not UTF-8, or a record has too many, too few or unreadable fields.
    """
    text = _text(path)
    header, lines = _records(path, text)
    require_names(str(path.name), header, columns, ignored)
    if not lines:
        return pl.DataFrame(schema={**columns, POSITION: pl.String()})
    raw = pl.read_csv(text.encode(), infer_schema=False)
    if raw.height != len(lines):
        raise DataError(
            f"{path.name} cannot be read for certain: {len(lines)} records by one reading, {raw.height} by another. "
            "Write it with one kind of line end and quotes around fields that hold line ends."
        )
    made = []
    for name, kind in columns.items():
        texts = raw[name].replace(list(nulls), [None] * len(nulls))
        values = from_text(texts, kind, zone=zone)
        unread = values.is_null() & texts.is_not_null()
        if unread.any():
            first = int(unread.arg_true()[0])
            raise DataError(
                f"{path.name}, line {lines[first]}: column {name!r} holds {texts[first][:80]!r}, expected {kind}"
                f"{' in the zone ' + zone if kind.is_temporal() else ''} ({unread.sum()} such records). Nothing of the "
                "file was taken. Have it delivered again, or declare the column as it is."
            )
        made.append(values.rename(name))
    places = pl.Series(POSITION, lines, dtype=pl.Int64).cast(pl.String)
    return pl.DataFrame(made).with_columns((pl.lit(f"{path.name}:") + places).alias(POSITION))


def _text(path: Path) -> str:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path.name} is cut off or not gzip: {error}. Have it delivered again, and renamed into place when whole."
        ) from error
    for mark, encoding in _OTHER_MARKS.items():
        if content.startswith(mark):
            raise DataError(f"{path.name}, line 1: the file is {encoding}, expected UTF-8. Have it written as UTF-8.")
    try:
        text = content.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path.name}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8. Expected UTF-8 throughout; "
            "files of several encodings were probably joined. Have it written as UTF-8."
        ) from error
    for stray, what in ((_MARK, "a byte order mark inside the file: files were joined"), ("\x00", "a zero byte")):
        if stray in text:
            line = text[: text.index(stray)].count("\n") + 1
            raise DataError(f"{path.name}, line {line}: {what}. Have the file delivered again.")
    return text


def _records(path: Path, text: str) -> tuple[list[str], "array[int]"]:
    """The header, and the line at which each record starts."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = array("q")
    header: list[str] | None = None
    started = 0
    try:
        for fields in reader:
            if header is None:
                header = fields
            elif len(fields) != len(header):
                raise DataError(
                    f"{path.name}, line {started + 1}: {len(fields)} fields, expected {len(header)} as in the header: "
                    "columns are shifted or the record is cut off. Nothing of the file was taken. Have it delivered "
                    "again, with quotes around fields that hold commas."
                )
            else:
                lines.append(started + 1)
            started = reader.line_num
    except csv.Error as error:
        raise DataError(
            f'{path.name}, line {started + 1}: {error}. Expected comma-separated fields, quoted with ". Have the file '
            "delivered again."
        ) from error
    if header is None:
        raise DataError(f"{path.name} is empty: not even a header. Have it delivered again.")
    return header, lines
