"""What is known of each slice of a raw table: the profile of its rows, and the report of its checks.

They are one file, written before the slice itself and named by its end, so every slice in a table has it, whenever the
writer was killed. The file of a slice that was never committed is found by no version, and replaced when the slice is
written again. Beside it lies the profile of the whole table at the newest slice, which is made again when it is lost.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from pydantic import ConfigDict, Field

from esteira.contract import CREATED
from esteira.data.finding import Finding
from esteira.data.schema import TableSchema, reference_of, seconds_from_reference
from esteira.errors import MissingData
from esteira.model_card import Column, Frozen
from esteira.monitoring.bins import cut, distances
from esteira.monitoring.distribution import Profile
from esteira.monitoring.profile import build_profile, is_intact, merge, read_profile
from esteira.settings import settings
from esteira.stores.data import tables
from esteira.stores.whole_files import write_whole

_MOMENT = "%Y%m%dT%H%M%S.%fZ"
DAY = timedelta(days=1)
_REPORT, _WHOLE = ".json", ".profile"


class SliceReport(Frozen):
    """What came of one slice: arrived = kept + quarantined; readmitted rows were released from quarantine."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    source: str
    table: str
    after: datetime | None
    until: datetime
    arrived: int
    kept: int
    quarantined: int
    readmitted: int
    findings: tuple[Finding, ...]
    profile: bytes = Field(repr=False)
    """Of the rows kept (``profile``)."""


def profile(rows: pl.DataFrame, schema: TableSchema) -> bytes:
    """Profile ``rows``: numbers, categories, and moments as seconds from the moment they are measured from.

    Identifiers are left out: their values say nothing about the rest, and may name persons.
    """
    seen = {name: column.kind for name, column in schema.columns.items() if name != CREATED}
    shown = {name: kind for name, kind in seen.items() if kind != "identifier"}
    measured = rows.select(
        seconds_from_reference(name, reference_of(name)).alias(name) if kind == "moment" else pl.col(name)
        for name, kind in shown.items()
    )
    return build_profile(
        measured,
        [Column(name=n, type="category" if kind == "category" else "number", view="raw") for n, kind in shown.items()],
    )


def distances_between(before: Profile, now: Profile) -> Mapping[str, float]:
    """How far the values of each column both profiles have lie apart (Jensen-Shannon distance, 0 to 1)."""
    found = {}
    for name in [name for name in now.columns if name in before.columns]:
        left, right = before.column(name), now.column(name)
        if left.type == right.type and left.count and right.count:
            bins = cut(left)
            found[name] = float(distances(bins.rows(right), bins.rows(left)))
    return found


def save(report: SliceReport) -> None:
    """Keep the report of a slice, and the profile of the table with it."""
    folder = settings().statistics_path / report.table
    parts = [each for each in (_whole(report.table, report.after), report.profile) if each]
    write_whole(folder / f"{report.until.strftime(_MOMENT)}{_REPORT}", report.model_dump_json().encode())
    if parts:
        whole = merge(parts) if len(parts) > 1 else parts[0]
        write_whole(folder / f"{report.until.strftime(_MOMENT)}{_WHOLE}", whole, durable=False)
    for path in folder.glob(f"[!.]*{_WHOLE}"):
        if report.after is not None and _moment(path) < report.after:
            path.unlink(missing_ok=True)  # what a writer that is killed now would still need stays


def distances_from_before(
    table: str, slice_profile: bytes, *, after: datetime | None, until: datetime
) -> tuple[Mapping[str, float], int]:
    """How far a slice's values lie from those of the table before it, by column, and how many rows were measured.

    Hours differ from one another as days do not, so what is measured is the slice with those before it that make a
    whole day. Nothing is measured without rows, without an earlier version, or while there is no whole day.
    """
    whole = _whole(table, after)
    if not slice_profile or not whole or after is None:
        return {}, 0
    parts, reached = [slice_profile], after
    for earlier in _slices(table, after):
        if reached <= until - DAY:
            break
        parts += [earlier.profile] if earlier.profile else []
        reached = earlier.after or earlier.until
    if reached > until - DAY:
        return {}, 0
    now = read_profile(merge(parts) if len(parts) > 1 else slice_profile)
    return distances_between(read_profile(whole), now), now.rows


def report(table: str, until: datetime) -> SliceReport | None:
    """The report of the slice that ended at ``until``; None for one that was not checked on its way in."""
    path = settings().statistics_path / table / f"{until.strftime(_MOMENT)}{_REPORT}"
    return SliceReport.model_validate_json(path.read_bytes()) if path.is_file() else None


def at_version(table: str, version: int) -> Profile:
    """The profile of ``table`` at a version: of all slices up to it. Raises MissingData when there is none."""
    reports = (report(table, until) for made, until in tables.slices(table).items() if made <= version)
    profiles = [each.profile for each in reports if each is not None and each.profile]
    if not profiles:
        raise MissingData(
            f"No profile of table {table!r} until version {version} is kept in {settings().statistics_path / table}. "
            "Profiles are made of raw tables, slice by slice, when they are ingested."
        )
    return read_profile(merge(profiles))


def _whole(table: str, after: datetime | None) -> bytes:
    """The profile of all slices until ``after``; empty when they have no rows."""
    if after is None:
        return b""
    path = settings().statistics_path / table / f"{after.strftime(_MOMENT)}{_WHOLE}"
    if path.is_file() and is_intact(kept := path.read_bytes()):
        return kept
    profiles = [each.profile for each in _slices(table, after) if each.profile]
    return merge(profiles) if profiles else b""


def _slices(table: str, until: datetime) -> Iterator[SliceReport]:
    """The reports of the slices of ``table`` until ``until``, newest first; none of a slice that never came in."""
    end: datetime | None = until
    while end is not None and (found := report(table, end)) is not None:
        yield found
        end = found.after


def _moment(path: Path) -> datetime:
    return datetime.strptime(path.name.removesuffix(path.suffix), _MOMENT).replace(tzinfo=UTC)
