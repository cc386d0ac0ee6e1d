"""Read reports of outcomes from somebody's file or database."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from pydantic import ValidationError

from esteira.contract import utc
from esteira.errors import InputError, MissingData
from esteira.serving.reports import OutcomeReport

_MOMENTS = ("happened_at", "known_at")
_READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
    ".jsonl": pl.read_ndjson,
}
_EXPECTED = "Expected the columns prediction_id or entity_id, outcome, happened_at; also known_at, source, confidence."


def read_reports(place: str, *, query: str | None, source: str) -> list[OutcomeReport]:
    """The reports in a file, or those a ``query`` finds in the database at a SQLAlchemy URL.

    Moments without a time zone are UTC. A row without a source has ``source``. Raises InputError naming the first row
    that is no report, MissingData when file or database cannot be read; the URL's password is in no message.
    """
    rows = _from_database(place, query) if "://" in place else _from_file(Path(place))
    return [_report(number, row, source) for number, row in enumerate(rows, start=1)]


def _from_file(path: Path) -> Iterable[Mapping[str, Any]]:
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise InputError(f"Cannot read {path}: its name must end in {', '.join(_READERS)}. {_EXPECTED}")
    try:
        return reader(path).iter_rows(named=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise MissingData(f"Cannot read outcomes from {path}: {error}. {_EXPECTED}") from error


def _from_database(place: str, query: str | None) -> Iterable[Mapping[str, Any]]:
    if query is None:
        raise InputError(f"Say what to read from the database: --query 'select …'. {_EXPECTED}")
    try:
        engine = sa.create_engine(place)
    except (sa.exc.ArgumentError, ImportError):  # its words may repeat the URL
        raise InputError("Cannot understand the database's URL. Expected one like postgresql://host/name.") from None
    try:
        with engine.connect() as connection:
            return [dict(each) for each in connection.execute(sa.text(query)).mappings()]
    except sa.exc.SQLAlchemyError as error:
        shown = engine.url.render_as_string(hide_password=True)
        told = str(getattr(error, "orig", error)).splitlines()[0]
        raise MissingData(f"Cannot read outcomes from {shown}: {told}. {_EXPECTED}") from None
    finally:
        engine.dispose()


def _report(number: int, row: Mapping[str, Any], source: str) -> OutcomeReport:
    given = {name: value for name, value in row.items() if value is not None}
    try:
        for name in _MOMENTS:
            if name in given:
                moment = given[name]
                given[name] = utc(moment if isinstance(moment, str) or moment.tzinfo else moment.isoformat())
        return OutcomeReport.model_validate({"source": source, **given}, strict=False)
    except (ValidationError, InputError, AttributeError) as error:
        told = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, told["loc"])) or "as a whole"
        raise InputError(
            f"Row {number} is no report of an outcome ({where}: {told['msg']}). Nothing was imported. {_EXPECTED}"
        ) from error
