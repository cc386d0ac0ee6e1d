"""Whether a source reaches the moment a run stands for, and gives each record once."""

from datetime import datetime

from esteira.errors import DataError, MomentOutsideData


def require_within(as_of: datetime, span: tuple[datetime, datetime | None], source: str, *, present: datetime) -> None:
    """Raise MomentOutsideData unless the source reaches ``as_of``; one without end reaches to the ``present``."""
    first, last = span[0], present if span[1] is None else span[1]
    if not first <= as_of <= last:
        raise MomentOutsideData(
            f"as_of {as_of.isoformat()} lies outside what source {source!r} holds: "
            f"{first.isoformat()} to {last.isoformat()}. Choose a moment in between."
        )


def require_none_late(table: str, source: str, after: datetime, *, taken: int, counted: int) -> None:
    """Raise DataError when the source now has more records known until ``after`` than were taken from it then."""
    if counted > taken:
        raise DataError(
            f"{counted - taken} records of table {table!r} came late: source {source!r} now has {counted} that were "
            f"known until {after.isoformat()}, but had {taken} when it was read until then. Nothing was written, "
            f"because a record cannot have been known before it came. Give them the time they came as {'created'!r} "
            "time (for files: leave the column out, and the file's own time counts), and run the ingest flow again."
        )
