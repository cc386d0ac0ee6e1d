"""Who writes a table and who cleans it: any number may append at once, nobody while it is created or rows are erased.

An append also leaves out what was forgotten. It does so under the lock, so a slice that was read before an entity was
forgotten cannot bring it back afterwards.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import polars as pl

from esteira.errors import DiskFull
from esteira.settings import settings
from esteira.stores.data.table_strays import remove_strays
from esteira.stores.disk import full_disk_told
from esteira.stores.stewardship import tombstones

Append = TypeVar("Append", bound=Callable[..., int])


def appending(append: Append) -> Append:
    """Let ``append(table, rows, …)`` run beside other appends, without the rows of forgotten entities."""

    @wraps(append)
    def guarded(table: str, rows: pl.DataFrame, **options: Any) -> int:
        started = time.time()
        try:
            with full_disk_told(f"A slice of table {table!r}"), _locked(table, _kind(table)):
                return append(table, tombstones.without_forgotten(rows), **options)
        except DiskFull:
            with cleaning(table):  # or every try would leave less room for the next
                remove_strays(settings().tables_path / table, started)
            raise

    return cast(Append, guarded)


def _kind(table: str) -> int:
    # Two that create a table at once would both commit: Delta looks for conflicts with an earlier version, of which
    # there is none (seen in deltalake 1.6.6).
    is_there = any((settings().tables_path / table / "_delta_log").glob("*.json"))
    return fcntl.LOCK_SH if is_there else fcntl.LOCK_EX


@contextmanager
def cleaning(table: str) -> Iterator[None]:
    """Keep everybody else from writing ``table`` until the block ends; waits for those who write."""
    with full_disk_told(f"Table {table!r} without some of its rows"), _locked(table, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(table: str, kind: Any) -> Iterator[None]:
    path = settings().home / "locks" / f"{table}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, kind)
        yield
