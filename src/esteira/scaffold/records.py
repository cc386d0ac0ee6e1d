"""Read a file that nobody prepared: its columns, what type each is of, and how a missing value is written."""

import csv
import io
import keyword
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, POSITION, PREDICTED_AT
from esteira.errors import DataError, InputError, MissingData
from esteira.sources.conversion import from_text

RESERVED = {EVENT, CREATED, POSITION, PREDICTED_AT, "outcome", "outcome_known_at", "prediction"}
_ABSENT = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
_WHOLE, _TRUTH = re.compile(r"[+-]?\d{1,18}"), {"true", "false"}


@dataclass(frozen=True)
class Records:
    """The n records of a file, and how to read them again: ``called`` maps our names to those of the file."""

    path: Path
    rows: pl.DataFrame
    called: dict[str, str]
    absent: tuple[str, ...]
    """What a missing field of a CSV file looks like."""

    def named(self, column: str, role: str) -> str:
        """Our name of a column of the file. Raises InputError when it has none of this name."""
        for ours, theirs in self.called.items():
            if column in (theirs, ours):
                return ours
        raise InputError(
            f"{self.path.name} has no column {column!r}, so it cannot be the {role}. It has "
            f"{', '.join(self.called.values())}. Name one of these."
        )


def read_records(path: Path) -> Records:
    """The records of a CSV or Parquet file, in the narrowest types that hold every value.

    Raises MissingData when there is no such file, InputError for another format, DataError when it cannot be read.
    """
    if not path.is_file():
        raise MissingData(f"There is no file {str(path)!r}. Name a CSV or Parquet file of records.")
    absent: tuple[str, ...] = ("",)
    if path.suffix == ".parquet":
        try:
            found = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{path.name} cannot be read: {error}. Name a whole Parquet file.") from error
        called = _called(path, found.columns)
    elif path.suffix == ".csv":
        try:
            text = path.read_bytes().decode("utf-8-sig")
            header = next(csv.reader(io.StringIO(text)), [])
            called = _called(path, header)
            texts = pl.read_csv(text.encode(), infer_schema=False)
        except (UnicodeDecodeError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path.name} cannot be read as CSV: {error}. Expected UTF-8 and commas.") from error
        found, absent = _typed(texts)
    else:
        raise InputError(f"{path.name} is neither .csv nor .parquet. Write it as one of them.")
    if not found.height:
        raise DataError(f"{path.name} holds no record. There is nothing to learn from.")
    return Records(path, found.rename({theirs: ours for ours, theirs in called.items()}), called, absent)


def moments(texts: pl.Series, column: str, zone: str) -> pl.Series:
    """A column as moments in UTC. Raises InputError, with the first value that is none."""
    if isinstance(texts.dtype, pl.Datetime):
        zoned = texts if texts.dtype.time_zone else texts.dt.replace_time_zone(zone)
        read = zoned.dt.convert_time_zone("UTC").cast(MOMENT)
    else:
        read = from_text(texts.cast(pl.String), MOMENT, zone=zone)
    unread = read.is_null()
    if unread.any():
        raise InputError(
            f"Column {column!r} holds {texts.filter(unread)[0]!r} ({unread.sum()} such rows), which is no moment. "
            "Expected ISO 8601, such as 2024-03-01 or 2024-03-01T12:00:00Z, in every row."
        )
    return read


def identifier(text: str) -> str:
    """``text`` as a name that Python, Feast and Delta bear: small letters, digits and underscores.

    >>> identifier("Petal length (cm)"), identifier("2nd floor")
    ('petal_length_cm', 'c_2nd_floor')
    """
    plain = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_") or "c"
    return f"c_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) else plain


def _called(path: Path, header: list[str]) -> dict[str, str]:
    ours = Counter(identifier(each) for each in header)
    twice = [each for each in header if ours[identifier(each)] > 1]
    if twice:
        raise InputError(f"The columns {twice} of {path.name} would all get one name. Rename them in the file.")
    return {identifier(each): each for each in header}


def _typed(texts: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    made, absent = [], {""}
    for column in texts:
        values = column.replace(list(_ABSENT), [None] * len(_ABSENT))
        typed = _narrowest(values)
        if typed.dtype == pl.String:
            made.append(column.replace([""], [None]))
        else:
            made.append(typed)
            absent |= set(column.filter(values.is_null()).unique())
    plain = pl.DataFrame(made).with_columns(pl.col(pl.String).replace(list(absent), [None] * len(absent)))
    return plain, tuple(sorted(absent))


def _narrowest(values: pl.Series) -> pl.Series:
    present = values.drop_nulls()
    if present.is_empty():
        return values
    if present.str.contains(rf"^{_WHOLE.pattern}$").all():
        return values.cast(pl.Int64)
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() == values.null_count() and bool(numbers.drop_nulls().is_finite().all()):
        return numbers
    if set(present.str.to_lowercase().unique()) <= _TRUTH:
        return from_text(values, pl.Boolean(), zone="UTC")
    return values
