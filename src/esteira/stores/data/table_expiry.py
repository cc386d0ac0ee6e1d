"""Remove old rows from a table, and the files of old versions that nothing names any more."""

from collections.abc import Collection
from datetime import datetime, timedelta

import polars as pl
from deltalake import DeltaTable

from esteira.contract import EVENT
from esteira.settings import settings
from esteira.stores.data import tables
from esteira.stores.data.table_locks import cleaning

_ASKED = "as_of"
"""The time column of tables of predictions."""
READING = timedelta(hours=24)
"""How long a reader may take over one version."""


def expire(table: str, before: datetime, *, keep_versions: Collection[int], reading: timedelta = READING) -> int:
    """Remove the rows of ``table`` from before a moment; return how many.

    They leave its newest version at once. Files that only older versions need go when they have been out of use for
    ``reading``, except those of ``keep_versions``; so do files no commit names. Progress of writers stays, so nothing
    is taken in again.
    """
    with cleaning(table):
        schema = tables.scan(table).collect_schema()
        moment = EVENT if EVENT in schema else _ASKED
        old = tables.scan(table).filter(pl.col(moment) < before).select(pl.len()).collect().item()
        stored = DeltaTable(str(settings().tables_path / table))
        if old:
            stored.delete(f"{moment} < '{before:%Y-%m-%dT%H:%M:%S.%fZ}'")
        stored.vacuum(
            retention_hours=int(reading / timedelta(hours=1)),
            dry_run=False,
            enforce_retention_duration=False,
            full=True,  # what killed writers left, too: nobody writes now
            keep_versions=sorted(version for version in keep_versions if version <= stored.version()) or None,
        )
        return int(old)
