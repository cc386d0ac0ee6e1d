"""Split labelled rows by time into what is learned from and what is judged on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from esteira.contract import EVENT, UseCase
from esteira.errors import DataError, NotEnoughData
from esteira.model_card import Frozen

TRAIN, ASIDE, HOLDOUT = "train", "set aside", "holdout"


@dataclass(frozen=True)
class Split:
    """Two boolean masks over the rows, and the moments (inclusive) of the oldest and newest row of each side."""

    train: pl.Series
    holdout: pl.Series
    trained_from: datetime
    trained_until: datetime
    holdout_from: datetime
    holdout_until: datetime


class Part(Frozen):
    """What one part of a split holds."""

    name: str
    rows: int
    entities: int
    """How many different ones."""
    first: datetime | None
    last: datetime | None
    """The asking moments (inclusive) of its oldest and newest row; None without rows."""
    mean_outcome: float | None

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.name}: no rows"
        return (
            f"{self.name}: {self.rows:,} rows of {self.entities:,} entities, {self.first:%Y-%m-%d %H:%M} to "
            f"{self.last:%Y-%m-%d %H:%M} UTC, mean outcome {self.mean_outcome:.4g}"
        )


def split_training_set(use_case: UseCase, rows: pl.DataFrame, *, as_of: datetime) -> Split:
    """Split labelled ``rows`` as the use case declares. Raises as ``split_by_time`` does."""
    return split_by_time(rows[EVENT], holdout=use_case.holdout, gap=use_case.label_delay, as_of=as_of)


def part_names(train: pl.Expr | pl.Series, holdout: pl.Expr | pl.Series) -> pl.Expr:
    """The name of the part each row belongs to, by its masks: one, and one only."""
    return pl.when(train).then(pl.lit(TRAIN)).when(holdout).then(pl.lit(HOLDOUT)).otherwise(pl.lit(ASIDE))


def describe_part(name: str, rows: pl.DataFrame, *, entity_id: str, label: str) -> Part:
    """What the ``rows`` of a part hold."""
    first, last, mean, entities = rows.select(
        pl.col(EVENT).min(), pl.col(EVENT).max().alias("last"), pl.col(label).mean(), pl.col(entity_id).n_unique()
    ).row(0)
    return Part(name=name, rows=rows.height, entities=entities, first=first, last=last, mean_outcome=mean)


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
