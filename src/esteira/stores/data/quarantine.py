"""Records kept apart: rows that break a rule, with the reason and where they came from, and their release.

A release is an arrival. Released rows come in with the next slice, as new knowledge: their ``created_timestamp`` is
the moment of release, so nothing computed before could have seen them, and everything computed later does. They are
not judged again: a person has.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from esteira.contract import CREATED, MOMENT, POSITION, RawTable, Source
from esteira.data.row_rules import REASON
from esteira.errors import InputError, MissingData, UnknownName
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.data import tables

ID = "quarantine_id"
RELEASED_AT = "released_at"
_SLICE = "slice_until"
_RELEASE = {ID: pl.String(), RELEASED_AT: MOMENT, "actor": pl.String(), REASON: pl.String()}
_MICROSECOND = timedelta(microseconds=1)


def table_of(table: str) -> str:
    """The name of the table that holds the quarantined rows of ``table``."""
    return f"quarantine_{table}"


def pending(table: str, after: datetime | None) -> datetime | None:
    """The end of a slice whose offending rows are in quarantine while the others never arrived; None without one."""
    written = tables.horizon(table_of(table))
    return written if written is not None and (after is None or written > after) else None


def identify(rows: pl.DataFrame, table: RawTable) -> pl.Series:
    """A name for each row (n,), made of its content; the same content twice gets two names."""
    seen: Counter[str] = Counter()
    names = []
    for row in rows.select(*table.schema).iter_rows():
        content = hashlib.sha256(json.dumps([table.name, *row], default=str).encode()).hexdigest()[:16]
        names.append(f"{content}-{seen[content]}")
        seen[content] += 1
    return pl.Series(ID, names, dtype=pl.String)


def add(
    table: RawTable, offending: pl.DataFrame, *, source: Source, until: datetime, expected: datetime | None
) -> None:
    """Keep ``offending`` rows (with their reason) of the slice until ``until`` apart; the same slice twice is once.

    ``expected`` is how far the quarantine reached when the slice was read. Raises DataError when another writer moved
    it since.
    """
    kept = offending.select(
        identify(offending, table),
        *table.schema,
        REASON,
        pl.format("{} {}", pl.lit(f"{source.name}.{table.name}"), POSITION).alias(POSITION),
        pl.lit(until, dtype=MOMENT).alias(_SLICE),
    )
    tables.append(table_of(table.name), kept, after=expected, until=until)


def slice_ids(table: str, until: datetime) -> frozenset[str]:
    """The names of the rows of one slice that are kept apart."""
    return frozenset(tables.read(table_of(table)).filter(pl.col(_SLICE) == until)[ID])


def read(table: str) -> pl.DataFrame:
    """Every quarantined row of ``table`` with its reason, its source, and when it was released (null: it was not)."""
    name = table_of(table)
    if not tables.exists(name):
        raise MissingData(f"Nothing of table {table!r} was ever quarantined. Tables: {', '.join(tables.names())}.")
    reached = tables.horizon(table)
    held = tables.read(name).filter(pl.col(_SLICE) <= reached) if reached else tables.read(name).clear()
    released = _releases(table).group_by(ID).agg(pl.col(RELEASED_AT).max())
    return held.join(released, on=ID, how="left").sort(_SLICE, ID)


def release(table: str, ids: Sequence[str], *, actor: str, reason: str, now: datetime) -> datetime:
    """Let ``ids`` in with the next slice, as known from ``now`` on or just after the table's newest slice.

    Returns the first moment of their new knowledge: one a microsecond, so that of records that contradict each other
    the one named last counts.

    Raises:
        UnknownName: a name that is not in quarantine.
        InputError: a row was released before, none was named, or the reason is empty.
    """
    if not reason.strip() or not ids:
        raise InputError("A release from quarantine needs rows and a reason. Name them, and say why they are right.")
    held = read(table)
    if unknown := sorted(set(ids) - set(held[ID])):
        raise UnknownName(
            f"{unknown} are not in the quarantine of table {table!r}. See: esteira data quarantine {table}"
        )
    if again := held.filter(pl.col(ID).is_in(list(ids)) & pl.col(RELEASED_AT).is_not_null())[ID].to_list():
        raise InputError(f"{again} were released already. Release the others by their names.")
    named = {"rows": list(ids)}
    audit.record(
        Deed(actor=actor, action="released from quarantine", subject=f"table:{table}", reason=reason, details=named)
    )
    while True:
        reached, last = tables.horizon(table), tables.horizon(_released(table))
        first = max(moment for moment in (now, reached, last) if moment is not None) + _MICROSECOND
        moments = [first + place * _MICROSECOND for place in range(len(ids))]
        rows = pl.DataFrame({ID: list(ids), RELEASED_AT: moments, "actor": actor, REASON: reason}, schema=_RELEASE)
        tables.append(_released(table), rows, after=last, until=moments[-1])
        passed = tables.horizon(table)
        # An ingest that was under way may have passed these moments without seeing them: then they come in later.
        if passed is None or passed < first or _came_in(table, moments):
            return first


def arriving(table: RawTable, after: datetime | None, until: datetime) -> pl.DataFrame:
    """The rows released in ``(after, until]``, in the table's schema, known from the moment of their release."""
    released = _releases(table.name).filter(pl.col(RELEASED_AT) <= until)
    if after is not None:
        released = released.filter(pl.col(RELEASED_AT) > after)
    if released.is_empty():
        return pl.DataFrame(schema=table.schema)
    held = tables.read(table_of(table.name)).drop(REASON)
    return (
        held.join(released, on=ID).with_columns(pl.col(RELEASED_AT).alias(CREATED)).select(*table.schema).sort(CREATED)
    )


def _came_in(table: str, moments: Sequence[datetime]) -> bool:
    seen = tables.read(table, columns=[CREATED], created_after=moments[0] - _MICROSECOND, created_until=moments[-1])
    return seen.height == len(moments)


def _released(table: str) -> str:
    return f"released_{table}"


def _releases(table: str) -> pl.DataFrame:
    return tables.read(_released(table)) if tables.exists(_released(table)) else pl.DataFrame(schema=_RELEASE)
