"""What features are worth: fit without a group of them, and see on which days the predictions get worse.

Leaving one group out says what it adds to all the others. Two groups that know the same thing are worth little each,
and much together: before both are dropped, leave both out at once.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from esteira.contract import PRIMARY, UseCase
from esteira.errors import InputError, UnknownName
from esteira.model_card import Column, Estimate, Frozen
from esteira.training.bootstrap import (
    CONFIDENCE,
    REPEATS,
    Floats,
    bounds,
    draw_days,
    mean_replicates,
    number_days,
)
from esteira.training.evaluate import evaluate, row_losses
from esteira.training.labels import OUTCOME
from esteira.training.learn import Where, days_of, feature_frame, fit_entrant, score
from esteira.training.recipe import Entrant


class Worth(Frozen):
    """What one group of features adds to all the others."""

    group: str
    features: tuple[str, ...]
    metric: str
    added_loss: Estimate
    """The primary metric without the group less with it, row by row, resampled by day; positive where it helps."""
    auc_gain: float | None
    """Binary only: the area under the curve with the group less without."""
    fit_seconds: float
    """Processor seconds that learning takes more with the group than without; noise may make it negative."""

    @property
    def sentence(self) -> str:
        """The answer in words."""
        figure = self.added_loss
        shown = f"{figure.value:+.5f} [{figure.low:+.5f}, {figure.high:+.5f}] {self.metric} without it"
        if figure.low > 0:
            return f"{self.group} helps: {shown}."
        if figure.high < 0:
            return f"{self.group} harms: {shown}. Leave it out."
        return f"{self.group} is worth nothing that can be shown: {shown}."


def groups_by_view(columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
    """The groups when none are named: the features of each view, and under ``request`` those computed on demand."""
    views = dict.fromkeys(column.view for column in columns)
    return {view: tuple(column.name for column in columns if column.view == view) for view in views}


def measure_worth(
    use_case: UseCase, entrant: Entrant, learned: pl.DataFrame, judged: pl.DataFrame, columns: Sequence[Column],
    groups: Mapping[str, Sequence[str]], where: Where,
) -> tuple[Worth, ...]:  # fmt: skip
    """Fit ``entrant`` on the rows ``learned`` with all ``columns`` and once without each group, and compare.

    The comparison is on the rows ``judged``, which must be later ones; greatest worth first.

    Raises:
        UnknownName: a group names a feature that is no column.
        InputError: a group is empty, or leaves nothing to learn from.
    """
    known = [column.name for column in columns]
    for group, features in groups.items():
        for feature in features:
            if feature not in known:
                raise UnknownName.among("feature", feature, known, "They are the columns of the feature service.")
        if not 0 < len(set(features)) < len(known):
            raise InputError(
                f"Group {group!r} names {len(set(features))} of {len(known)} features. Name at least one, and not all."
            )
    outcomes = judged[OUTCOME].to_numpy().astype(np.float64)
    everything, whole = _predictions(use_case, entrant, learned, judged, columns, where)
    found = []
    for group, features in groups.items():
        kept = [column for column in columns if column.name not in set(features)]
        without, less = _predictions(use_case, entrant, learned, judged, kept, where)
        compared = _compared(use_case, judged, outcomes, everything, without, where.seed)
        found.append(Worth(group=group, features=tuple(features), fit_seconds=whole - less, **compared))
    return tuple(sorted(found, key=lambda each: -each.added_loss.value))


def _predictions(
    use_case: UseCase, entrant: Entrant, learned: pl.DataFrame, judged: pl.DataFrame, columns: Sequence[Column],
    where: Where,
) -> tuple[Floats, float]:  # fmt: skip
    """Predictions for ``judged``, and the processor seconds of the fit."""
    started = time.process_time()
    pipeline = fit_entrant(use_case, entrant, learned, columns, where)
    seconds = time.process_time() - started
    return score(pipeline, feature_frame(judged, columns), kind=use_case.kind, bounds=use_case.bounds), seconds


def _compared(
    use_case: UseCase, judged: pl.DataFrame, outcomes: Floats, everything: Floats, without: Floats, seed: int
) -> dict[str, Any]:
    kind = use_case.kind
    added = row_losses(kind, outcomes, without) - row_losses(kind, outcomes, everything)
    numbered, days = number_days(days_of(judged))
    replicates = mean_replicates(added, numbered, days, draw_days(days, repeats=REPEATS, seed=seed))
    low, high = bounds(replicates, days=days, confidence=CONFIDENCE)
    auc = None
    if kind == "binary":
        with_it, without_it = (
            evaluate(kind, outcomes, each, numbered, seed=seed, only={"auc"}).get("auc")
            for each in (everything, without)
        )
        auc = None if with_it is None or without_it is None else with_it.value - without_it.value
    figure = Estimate(value=float(added.mean()), low=low, high=high, rows=len(added))
    return {"metric": PRIMARY[kind], "auc_gain": auc, "added_loss": figure}
