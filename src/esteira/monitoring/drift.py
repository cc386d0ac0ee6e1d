"""Which columns of a window moved away from the reference, how much that matters, and what counts as moved.

A column has moved when its distance (see ``bins``) exceeds a threshold found on the model's own history: windows of
consecutive days are drawn from it, each is compared with the rest of it, and the thresholds are set so that in only
a small share of them columns that matter, taken together, would have moved.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from pydantic import Field

from esteira.errors import DataError, NotEnoughData
from esteira.model_card import Column, Frozen
from esteira.monitoring.bins import Bins, cut, distances
from esteira.monitoring.distribution import Distribution, Floats, Profile

PREDICTION = "prediction"
"""The column of predictions: profiled like a feature, weighed like the most important one."""
DRIFT_LIMIT = 0.1
"""Drift matters when columns with this share of the importance moved; less, the model hardly uses."""
_SMALLEST_DISTANCE = 0.05
"""Less is no drift even when it is certain: it is about an eighth of a deviation, and a large window shows anything."""
FALSE_ALARMS = 0.02
"""In how many windows without drift the signal may stand; that it must stand twice makes a retrain rarer still."""
_DRAWS = 500
_FEWEST_DAYS = 4


class Thresholds(Frozen):
    """How far each column may lie from the reference before it counts as moved."""

    columns: Mapping[str, float]
    window_rows: int
    """Rows of the windows they were found with."""
    false_alarms: float
    """Share of windows without drift in which columns with DRIFT_LIMIT of the importance move."""


class ColumnDrift(Frozen):
    """How far one column of a window lies from the reference, with both distributions for a plot."""

    name: str
    distance: float
    threshold: float
    importance: float
    moved: bool
    bins: tuple[str, ...] = Field(repr=False)
    reference: tuple[float, ...] = Field(repr=False)
    """Share of the reference's rows per bin."""
    window: tuple[float, ...] = Field(repr=False)
    """Share of the window's rows per bin."""
    sentence: str


class Drift(Frozen):
    """What moved in one window, the most important first."""

    known: bool
    """False: the window has too few rows to say anything."""
    rows: int
    score: float
    """Importance of the columns that moved as a share of all; 0 when unknown."""
    columns: tuple[ColumnDrift, ...]
    sentences: tuple[str, ...]

    @property
    def moved(self) -> tuple[str, ...]:
        """The names of the columns that moved."""
        return tuple(column.name for column in self.columns if column.moved)


def calibrate(
    reference: Profile,
    frame: pl.DataFrame,
    columns: Sequence[Column],
    *,
    days: pl.Series,
    window_rows: int,
    window_days: int = 7,
    importances: Mapping[str, float] | None = None,
    seed: int,
) -> Thresholds:
    """Find the thresholds of ``columns`` from the rows the reference was built from.

    Windows of ``window_days``, thinned to ``window_rows``, are drawn as blocks of consecutive days, around the end,
    because rows of one day, and neighbouring days, resemble each other (circular block bootstrap: Politis and Romano
    1992; blocks of the cube root of the number of days: Hall, Horowitz and Jing 1995). Each column's distances are put
    on its own scale, and one factor holds for all of them: the smallest with which columns of ``DRIFT_LIMIT`` of the
    importance move together in at most ``FALSE_ALARMS`` of the windows (single-step maxT of Westfall and Young 1993,
    with the columns weighted: an alarm of columns the model hardly uses is none).

    Args:
        reference: the profile of ``frame``.
        frame: (n rows) the history, with every column.
        importances: of the model's columns; predictions weigh as much as the most important one. Without them, any
            column that moves is an alarm.
        days: (n,) the day of each row, of any sortable type.
        window_rows: rows expected in a window; fewer than half of them will not be judged.
        window_days: how many days a window spans; at most half of the history is drawn.
        seed: of the draws; same seed, same thresholds.

    Raises:
        NotEnoughData: fewer than four days, or fewer rows than two windows.
        DataError: ``days`` has another length than ``frame``.
    """
    if len(days) != frame.height:
        raise DataError(f"{len(days)} days were given for {frame.height} rows. Give the day of each row.")
    day = days.rank("dense").to_numpy().astype(np.int64) - 1
    n_days = int(day.max()) + 1 if day.size else 0
    if n_days < _FEWEST_DAYS or frame.height < 2 * window_rows or window_rows < 1:
        raise NotEnoughData(
            f"Cannot find drift thresholds for windows of {window_rows} rows in {frame.height} rows of {n_days} days. "
            f"Expected {_FEWEST_DAYS} days and two windows at least. Give a longer history or shorter windows."
        )
    rng = np.random.default_rng(seed)
    drawn = _draw_days(rng, n_days, window_days)
    found = np.stack(
        [_null_distances(rng, reference, frame, each, day, drawn, window_rows) for each in columns], axis=1
    )
    scale = np.maximum(np.quantile(found, 0.9, axis=0), _SMALLEST_DISTANCE / 2)
    names = [column.name for column in columns]
    weights = dict.fromkeys(names, 1.0) if importances is None else _weights(names, importances)
    factor = float(np.quantile(_alarming(found / scale, np.array([weights[name] for name in names])), 1 - FALSE_ALARMS))
    limits = np.maximum(scale * factor, _SMALLEST_DISTANCE)
    return Thresholds(
        columns={name: float(limit) for name, limit in zip(names, limits, strict=True)},
        window_rows=window_rows,
        false_alarms=FALSE_ALARMS,
    )


def measure(reference: Profile, window: Profile, thresholds: Thresholds, importances: Mapping[str, float]) -> Drift:
    """Compare ``window`` with ``reference`` in every column that has a threshold.

    A window of fewer than half the rows the thresholds were found with is not judged; with fewer rows than all of
    them, thresholds widen by the root of the ratio, as distances without drift do. Predictions weigh as much as the
    most important column.

    Raises:
        UnknownName: a column with a threshold is not in a profile.
    """
    rows = window.rows
    if 2 * rows < thresholds.window_rows:
        sentence = (
            f"Drift is unknown: the window has {rows} rows, at least {-(-thresholds.window_rows // 2)} are needed."
        )
        return Drift(known=False, rows=rows, score=0.0, columns=(), sentences=(sentence,))
    widened = max(1.0, (thresholds.window_rows / rows) ** 0.5)
    weights = _weights(thresholds.columns, importances)
    compared = [
        _compare(reference.column(name), window.column(name), limit * widened, weights[name])
        for name, limit in thresholds.columns.items()
    ]
    ranked = sorted(compared, key=lambda each: (not each.moved, -each.importance * each.distance, each.name))
    score = min(1.0, sum(each.importance for each in ranked if each.moved))
    moved = [each.sentence for each in ranked if each.moved]
    head = f"{len(moved)} of {len(ranked)} columns moved, with {score:.0%} of the importance, in {rows} rows."
    return Drift(known=True, rows=rows, score=score, columns=tuple(ranked), sentences=(head, *moved))


def _weights(names: Iterable[str], importances: Mapping[str, float]) -> dict[str, float]:
    """The weight of each column, adding up to 1."""
    weights = {name: importances.get(name, 0.0) for name in names}
    if PREDICTION in weights:
        weights[PREDICTION] = max(importances.values(), default=1.0)
    total = sum(weights.values())
    return {name: weight / total if total else 1 / len(weights) for name, weight in weights.items()}


def _alarming(ratios: Floats, weights: Floats) -> Floats:
    """For each window (draws, columns) the largest factor with which enough importance still moves: (draws,)."""
    order = np.argsort(-ratios, axis=1)
    enough = np.cumsum(weights[order], axis=1) >= min(DRIFT_LIMIT, weights.sum())
    column = np.take_along_axis(order, enough.argmax(axis=1)[:, None], axis=1)
    return np.asarray(np.take_along_axis(ratios, column, axis=1)[:, 0], dtype=np.float64)


def _draw_days(
    rng: np.random.Generator, n_days: int, window_days: int
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How often each day is in each drawn window: (draws, days)."""
    length = max(1, min(n_days // 2, window_days))
    block = min(length, round(n_days ** (1 / 3)))
    blocks = -(-length // block)
    starts = rng.integers(0, n_days, size=(_DRAWS, blocks, 1))
    chosen = ((starts + np.arange(block)) % n_days).reshape(_DRAWS, -1)[:, :length]
    counts = np.zeros((_DRAWS, n_days), dtype=np.int64)
    np.add.at(counts, (np.arange(_DRAWS)[:, None], chosen), 1)
    return counts


def _null_distances(
    rng: np.random.Generator,
    reference: Profile,
    frame: pl.DataFrame,
    column: Column,
    day: np.ndarray[tuple[int], np.dtype[np.int64]],
    drawn: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    window_rows: int,
) -> Floats:
    """The column's distance between each drawn window and the days it leaves out: (draws,)."""
    bins = cut(reference.column(column.name))
    n_bins = len(bins.labels)
    cells = np.bincount(day * n_bins + bins.place(frame[column.name]), minlength=drawn.shape[1] * n_bins)
    per_day = cells.reshape(drawn.shape[1], n_bins)
    windows = drawn @ per_day
    rest = (drawn == 0).astype(np.int64) @ per_day
    for index in np.flatnonzero(windows.sum(axis=1) > window_rows):
        windows[index] = rng.multivariate_hypergeometric(windows[index], window_rows, method="marginals")
    return distances(windows.astype(np.float64), rest.astype(np.float64))


def _compare(reference: Distribution, window: Distribution, threshold: float, importance: float) -> ColumnDrift:
    bins: Bins = cut(reference)
    expected, seen = bins.rows(reference), bins.rows(window)
    distance = float(distances(seen, expected))
    moved = distance > threshold
    sentence = (
        f"{reference.name} {'moved' if moved else 'stayed'}: distance {distance:.3f}, threshold {threshold:.3f}, "
        f"importance {importance:.1%}{_means(reference, window)}; missing {_missing(reference)} to {_missing(window)}."
    )
    return ColumnDrift(
        name=reference.name,
        distance=distance,
        threshold=threshold,
        importance=importance,
        moved=moved,
        bins=bins.labels,
        reference=tuple(float(each) for each in expected / max(1.0, expected.sum())),
        window=tuple(float(each) for each in seen / max(1.0, seen.sum())),
        sentence=sentence,
    )


def _means(reference: Distribution, window: Distribution) -> str:
    if reference.mean is None or window.mean is None:
        return ""
    return f"; mean {reference.mean:.4g} to {window.mean:.4g}"


def _missing(column: Distribution) -> str:
    return f"{column.missing / max(1, column.count):.1%}"
