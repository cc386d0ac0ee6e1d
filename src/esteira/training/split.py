"""Split labelled rows by time into what is learned from and what is judged on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from esteira.errors import DataError, NotEnoughData


@dataclass(frozen=True)
class Split:
    """Two boolean masks over the rows, and the moments (inclusive) of the oldest and newest row of each side."""

    train: pl.Series
    holdout: pl.Series
    trained_from: datetime
    trained_until: datetime
    holdout_from: datetime
    holdout_until: datetime


def split_by_time(times: pl.Series, *, holdout: timedelta, gap: timedelta, as_of: datetime) -> Split:
    """Hold out the newest stretch of length ``holdout``; train on what lies at least ``gap`` before it.

    ``times`` are the rows' asking moments and ``gap`` the label delay. The last ``gap`` before ``as_of`` belongs to
    neither side: there, only rows whose outcome came early are labelled, and they are not like the others. Nor does
    the ``gap`` before the holdout: its outcomes became known while the holdout was already being asked for.

    Raises:
        DataError: a row was asked for after ``as_of``.
        NotEnoughData: one side is empty.
    """
    newest = times.max()
    if not isinstance(newest, datetime):
        raise NotEnoughData("There is no labelled row to split. Ingest more data, or choose a later as_of.")
    if newest > as_of:
        raise DataError(
            f"{(times > as_of).sum()} rows were asked for after as_of {as_of.isoformat()}, the newest at "
            f"{newest.isoformat()}. Build the training set for this as_of again."
        )
    until = min(newest, as_of - gap)
    since = until - holdout
    held_out = (times > since) & (times <= until)
    train = times <= since - gap
    if not train.any() or not held_out.any():
        raise NotEnoughData(
            f"{times.len()} rows up to {newest.isoformat()} cannot be split at as_of {as_of.isoformat()} into a "
            f"holdout of {holdout} and training rows at least {gap} before it: {train.sum()} rows to train on, "
            f"{held_out.sum()} to judge on. Ingest more data, choose a later as_of or declare a shorter holdout."
        )
    trained, judged = times.filter(train), times.filter(held_out)
    return Split(train, held_out, _first(trained), _last(trained), _first(judged), _last(judged))


def _first(times: pl.Series) -> datetime:
    return times.min()  # type: ignore[return-value]  # a Datetime series has datetimes


def _last(times: pl.Series) -> datetime:
    return times.max()  # type: ignore[return-value]
