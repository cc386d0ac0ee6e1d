"""Read a Parquet file: whole, with the declared columns and types, or not at all."""

from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from esteira.contract import POSITION
from esteira.errors import DataError, WrongColumns
from esteira.sources.conversion import from_values
from esteira.sources.delivered import require_names

_MAGIC = b"PAR1"


def read_parquet(
    path: Path, columns: Mapping[str, pl.DataType], *, ignored: Collection[str], zone: str
) -> pl.DataFrame:
    """The ``columns`` of a Parquet file in their types, and the row of each record as its position.

    Raises:
        WrongColumns: columns or types are not what is declared, or wider.
        DataError: the file is cut off, damaged or not Parquet.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(0, size - 4))
        end = file.read(4)
    if start != _MAGIC or end != _MAGIC or size < 12:
        what = "cut off" if start == _MAGIC else "not Parquet"
        raise DataError(f"{path.name} is {what}: {size} bytes that end with {end!r}, expected {_MAGIC!r}. {_AGAIN}")
    try:
        raw = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path.name} is damaged: {error}. {_AGAIN}") from error
    require_names(path.name, raw.columns, columns, ignored)
    made, wrong = [], []
    for name, kind in columns.items():
        try:
            made.append(from_values(raw[name], kind, zone=zone))
        except WrongColumns as error:
            wrong.append(str(error))
    if wrong:
        raise WrongColumns(
            f"The types of {path.name} are not the declared ones: {'; '.join(wrong)}. A changed type is never taken "
            "silently: have it delivered as declared; or change the declaration, and accept the changed schema."
        )
    place = pl.format("{} row {}", pl.lit(path.name), pl.int_range(1, pl.len() + 1))
    return pl.DataFrame(made).with_columns(place.alias(POSITION))


_AGAIN = "Nothing of it was taken. Have it delivered again, and renamed into place when whole."
