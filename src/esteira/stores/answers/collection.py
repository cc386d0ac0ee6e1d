"""Bring what services logged into a Delta table, each line exactly once, whatever is killed.

A slice of a segment and how far it reaches are one commit of the table. Segments are read while they grow; a finished
one is deleted after its last line was collected. A torn last line, which nobody was told of, is reported and left
out; a whole line that cannot be read is kept apart in ``unreadable/``, so that one bad line does not stop the belt.
"""

import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from esteira.stores.answers.segments import SEGMENT, is_growing
from esteira.stores.data import tables

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BYTE = timedelta(microseconds=1)
_READ_AT_ONCE = 8 * 1024 * 1024
_log = logging.getLogger("esteira.stores.answers.collection")

Rows = Callable[[bytes], list[dict[str, Any]]]
"""Reads one line as rows of the table; raises ValueError when it cannot be read."""


def collect(
    folder: Path, table: str, read: Rows, schema: Mapping[str, pl.DataType], *, partition_by: str | None = None
) -> int:
    """Append every whole line of the segments in ``folder`` to ``table``; return how many rows they were."""
    if not folder.is_dir():
        return 0
    with _only_collector(folder):
        return sum(
            _collect_segment(segment, table, read, schema, partition_by)
            for segment in sorted(folder.glob(f"*{SEGMENT}"))
        )


def waiting(folder: Path, table: str) -> dict[Path, int]:
    """How many bytes of each segment in ``folder`` are not in ``table`` yet; whole segments are left out."""
    found = {}
    for segment in folder.glob(f"*{SEGMENT}"):
        reached = tables.horizon(table, writer=segment.stem)
        left = segment.stat().st_size - (0 if reached is None else (reached - _EPOCH) // _BYTE)
        if left > 0:
            found[segment] = left
    return found


def _collect_segment(
    segment: Path, table: str, read: Rows, schema: Mapping[str, pl.DataType], partition_by: str | None
) -> int:
    reached = tables.horizon(table, writer=segment.stem)
    count = 0
    try:
        growing = is_growing(segment)  # asked before reading: a process that ends in between leaves nothing unread
        place = 0 if reached is None else (reached - _EPOCH) // _BYTE
        for lines in _whole_lines(segment, place):
            rows = _rows(segment, place, lines, read, schema)
            place += len(lines)
            if rows.height:
                # The table's record of how far a writer has come is a moment; here it counts bytes as microseconds.
                until = _EPOCH + place * _BYTE
                tables.append(table, rows, after=reached, until=until, writer=segment.stem, partition_by=partition_by)
                reached = until
                count += rows.height
        if not growing:
            torn = segment.stat().st_size - place
            if torn > 0:
                _log.warning("%s ends in a torn line of %d bytes: left out, nobody was told of it.", segment, torn)
            segment.unlink()
    except FileNotFoundError:  # its process took back the one batch it had begun with
        return count
    return count


def _whole_lines(segment: Path, start: int) -> Iterator[bytes]:
    """Stretches of whole lines from ``start`` on, some megabytes each."""
    with segment.open("rb") as file:
        file.seek(start)
        rest = b""
        while more := file.read(_READ_AT_ONCE):
            rest += more
            if whole := rest[: rest.rfind(b"\n") + 1]:
                yield whole
                rest = rest[len(whole) :]


def _rows(segment: Path, place: int, lines: bytes, read: Rows, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    records = []
    for line in lines.splitlines(keepends=True):
        if line.strip():
            try:
                records += read(line)
            except ValueError as error:
                _keep_apart(segment, place, line, error)
        place += len(line)
    return pl.DataFrame(records, schema=schema)


def _keep_apart(segment: Path, place: int, line: bytes, error: ValueError) -> None:
    apart = segment.parent / "unreadable" / f"{segment.stem}-{place}"
    apart.parent.mkdir(exist_ok=True)
    apart.write_bytes(line)
    _log.error("A line of %s cannot be read (%s); it is kept as %s.", segment, type(error).__name__, apart)


@contextmanager
def _only_collector(folder: Path) -> Iterator[None]:
    with (folder / "collector.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
