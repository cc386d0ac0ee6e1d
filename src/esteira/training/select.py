"""Choose among candidates on the newest training rows, with reasons; the holdout is never looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from esteira.contract import EVENT, PRIMARY, UseCase
from esteira.errors import NotEnoughData
from esteira.model_card import Column
from esteira.training.evaluate import row_losses
from esteira.training.labels import OUTCOME
from esteira.training.learn import Where, feature_frame, fit_entrant, require_enough, score
from esteira.training.recipe import Entrant
from esteira.training.split import split_by_time

_MICROSECOND = timedelta(microseconds=1)
SELECTION_ROWS = 60_000
"""Candidates are compared after learning from at most this many rows, the newest: enough to rank them, and cheap."""


@dataclass(frozen=True)
class Fold:
    """Older rows to learn from and the newest rows to compare on, asked for from ``since`` to ``until``."""

    learned: pl.DataFrame
    newest: pl.DataFrame
    since: datetime
    until: datetime


def select(
    use_case: UseCase,
    entrants: Sequence[Entrant],
    train: pl.DataFrame,
    columns: Sequence[Column],
    where: Where,
) -> tuple[Entrant, list[str]]:
    """The entrant with the lowest primary metric on the newest rows of ``train``, and sentences that say why."""
    if len(entrants) == 1:
        return entrants[0], [f"{entrants[0].name} is the only candidate that was asked for or declared."]
    (fold,) = folds(use_case, train, 1)
    losses = {entrant.name: loss_on(use_case, entrant, fold, columns, where) for entrant in entrants}
    chosen = min(entrants, key=lambda entrant: losses[entrant.name])  # on a tie, the one declared first
    metric = PRIMARY[use_case.kind]
    return chosen, [
        f"{chosen.name} had the lowest {metric} of {len(losses)} candidates on the newest {fold.newest.height} "
        f"training rows ({fold.since:%Y-%m-%d} to {fold.until:%Y-%m-%d}), each fitted on the {fold.learned.height} "
        "rows before.",
        *(f"{name}: {metric} {loss:.4f}." for name, loss in sorted(losses.items(), key=lambda item: item[1])),
    ]


def folds(use_case: UseCase, train: pl.DataFrame, count: int) -> list[Fold]:
    """Split training rows by time, ``count`` times over: consecutive newest stretches, each after what is learned.

    A stretch is as long as the holdout, or a fifth of all rows' time for each if they are short. Oldest first.

    Raises NotEnoughData when a side of a fold is too small to compare candidates on.
    """
    first, last = train[EVENT].min(), train[EVENT].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise NotEnoughData("There are no training rows to compare candidates on.")
    length = min(use_case.holdout, (last - first) / (4 + count))
    gap = min(use_case.label_delay, length)
    found: list[Fold] = []
    for _ in range(count):
        end = found[-1].since - _MICROSECOND if found else last
        known = train.filter(pl.col(EVENT) <= end)
        split = split_by_time(known[EVENT], holdout=length, gap=gap, as_of=end + gap)
        learned = known.filter(split.train).sort(EVENT, maintain_order=True).tail(SELECTION_ROWS)
        newest = known.filter(split.holdout)
        for rows, purpose in ((learned, "compare candidates on (older part)"), (newest, "compare candidates on")):
            require_enough(use_case, rows, purpose)
        found.append(Fold(learned, newest, split.holdout_from, split.holdout_until))
    return found[::-1]


def loss_on(use_case: UseCase, entrant: Entrant, fold: Fold, columns: Sequence[Column], where: Where) -> float:
    """The primary metric on the fold's newest rows of ``entrant`` fitted on the rows before."""
    pipeline = fit_entrant(use_case, entrant, fold.learned, columns, where)
    frame = feature_frame(fold.newest, columns)
    predictions = score(pipeline, frame, kind=use_case.kind, bounds=use_case.bounds)
    return float(row_losses(use_case.kind, fold.newest[OUTCOME].to_numpy(), predictions).mean())
