"""Compute the new rows of a feature table: the same function for a backfill and for one more slice."""

from datetime import datetime

import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, FeatureTable, Frames
from esteira.errors import WrongColumns


def earliest_needed(table: FeatureTable, new_records: Frames) -> datetime | None:
    """The oldest event ``table`` must read to compute what ``new_records`` change; None when nothing is new.

    ``new_records`` holds, per raw table, the event times of records that arrived since the last slice.
    """
    events = [frame[EVENT].min() for frame in new_records.values() if frame.height]
    oldest = min((event for event in events if isinstance(event, datetime)), default=None)
    return None if oldest is None else oldest - table.lookback


def compute_rows(table: FeatureTable, raw: Frames, *, after: datetime | None, until: datetime) -> pl.DataFrame:
    """The feature rows that became known in ``(after, until]``, oldest knowledge first.

    Raises WrongColumns when the computation leaves out a key or a timestamp or gives one another type.
    """
    rows = table.compute(raw)
    absent = [name for name in (*table.keys, EVENT, CREATED) if name not in rows.columns]
    mistyped = [name for name in (EVENT, CREATED) if name in rows.columns and rows.schema[name] != MOMENT]
    if absent or mistyped:
        raise WrongColumns(
            f"Feature table {table.name!r} was computed without {absent or 'nothing'} and with "
            f"{mistyped or 'nothing'} not in UTC microseconds. Its keys are {list(table.keys)}; mend its compute."
        )
    new = pl.col(CREATED) <= until
    if after is not None:
        new &= pl.col(CREATED) > after
    return rows.filter(new).sort(CREATED, EVENT, *table.keys)
