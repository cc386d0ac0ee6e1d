"""The gate's guardrails: does any slice or group suffer, many of them and chance considered?

Each guardrail is a hypothesis "this part keeps its limit" with a p-value. All of them together are one family, judged
by Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979): under a challenger that harms nobody, any
of them raises a false alarm in at most 1 - confidence of the verdicts, however many slices and groups there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from esteira.limits import GateLimits, MetricLimit
from esteira.model_card import Estimate, Frozen
from esteira.training.bootstrap import (
    CONFIDENCE,
    MINIMUM_DAYS,
    REPEATS,
    Floats,
    bounds,
    draw_days,
    mean_replicates,
    number_days,
)
from esteira.training.evaluate import Kind, evaluate, slice_masks

Rule = Literal["slices", "fairness", "floors"]


class Guardrail(Frozen):
    """One part of the rows under one rule: what was measured there, and whether its limit was shown to be broken."""

    rule: Rule
    name: str
    """Column and value, then what was measured: ``origin=JFK log_loss difference``."""
    rows: int
    figure: Estimate | None
    """None when the part is too small to judge."""
    limit: float
    excess: float | None
    """How far the figure lies beyond its limit; negative when it keeps it."""
    p_value: float | None
    """Of the hypothesis that the limit is kept."""
    is_broken: bool


@dataclass(frozen=True)
class Slice:
    """The rows of one value of one column, with their days renumbered."""

    name: str
    mask: npt.NDArray[np.bool_]
    numbered: npt.NDArray[np.int64]
    days: int

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.mask.sum())

    def is_large_enough(self, limits: GateLimits) -> bool:
        """Whether it can be judged at all."""
        return self.rows >= limits.minimum_slice_rows and self.days >= MINIMUM_DAYS


def cut(slices: Mapping[str, Sequence[object]], numbered: npt.NDArray[np.int64]) -> list[Slice]:
    """The rows in parts: one for each value of each column."""
    return [Slice(name, mask, *number_days(numbered[mask])) for name, mask in slice_masks(slices)]


def slice_differences(
    limits: GateLimits, metric: str, differences: Floats, parts: Sequence[Slice], seed: int
) -> list[Guardrail]:
    """Each slice's mean of ``differences`` (challenger's loss minus the reference's, one a row)."""
    found = []
    for part in parts:
        name, limit = f"{part.name} {metric} difference", limits.slice_margin
        if not part.is_large_enough(limits):
            found.append(too_small("slices", name, part.rows, limit))
            continue
        values, draws = differences[part.mask], draw_days(part.days, repeats=REPEATS, seed=seed)
        replicates = mean_replicates(values, part.numbered, part.days, draws)
        found.append(
            guardrail("slices", name, part.rows, float(values.mean()), replicates, part.days, limit=limit, sign=1)
        )
    return found


def slice_floors(
    limits: GateLimits, kind: Kind, y: Floats, p: Floats, parts: Sequence[Slice], threshold: float | None, seed: int
) -> list[Guardrail]:
    """Each slice's metrics that have a limit ``in_slices``."""
    wanted = {each.metric: each for each in limits.floors if each.in_slices is not None}
    found = []
    for part in parts if wanted else ():
        metrics: Mapping[str, Estimate] = {}
        if part.is_large_enough(limits):
            mine, answers = y[part.mask], p[part.mask]
            metrics = evaluate(kind, mine, answers, part.numbered, seed=seed, threshold=threshold, only=wanted)
        found += [_floor(part, limit, metrics.get(metric)) for metric, limit in wanted.items()]
    return found


def guardrail(
    rule: Rule, name: str, rows: int, value: float, replicates: Floats, days: int, *, limit: float, sign: int
) -> Guardrail:
    """One hypothesis from a figure and its resamples: broken by ``sign`` times the figure over ``limit``."""
    low, high = bounds(replicates, days=days, confidence=CONFIDENCE)
    # Far tails cannot be read from a thousand resamples: their spread and Student's t give the p-value instead.
    finite = replicates[np.isfinite(replicates)]
    spread = float(finite.std(ddof=1)) * np.sqrt(days / (days - 1))
    return _judged(rule, name, Estimate(value=value, low=low, high=high, rows=rows), limit, sign, spread, days)


def too_small(rule: Rule, name: str, rows: int, limit: float) -> Guardrail:
    """A part that is too small to judge: it is said so, and breaks nothing."""
    return Guardrail(
        rule=rule, name=name, rows=rows, figure=None, limit=limit, excess=None, p_value=None, is_broken=False
    )


def judge_family(guardrails: Sequence[Guardrail], confidence: float) -> tuple[Guardrail, ...]:
    """Mark what is broken among all guardrails, by Holm's procedure at ``1 - confidence``."""
    p_values = {place: each.p_value for place, each in enumerate(guardrails) if each.p_value is not None}
    broken: set[int] = set()
    for rank, place in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        if p_values[place] > (1 - confidence) / (len(p_values) - rank):
            break
        broken.add(place)
    return tuple(each.model_copy(update={"is_broken": place in broken}) for place, each in enumerate(guardrails))


def _floor(part: Slice, limit: MetricLimit, figure: Estimate | None) -> Guardrail:
    name, bound = f"{part.name} {limit.metric}", float(limit.in_slices or 0.0)
    if figure is None:
        return too_small("floors", name, part.rows, bound)
    # The metric's own interval tells its spread: both ends are that many standard errors apart.
    spread = (figure.high - figure.low) / (2 * float(stats.t.ppf((1 + CONFIDENCE) / 2, part.days - 1)))
    return _judged("floors", name, figure, bound, 1 if limit.least is None else -1, spread, part.days)


def _judged(rule: Rule, name: str, figure: Estimate, limit: float, sign: int, spread: float, days: int) -> Guardrail:
    excess = sign * (figure.value - limit)
    p_value = float(stats.t.sf(excess / spread, days - 1)) if spread > 0 else float(excess <= 0)
    return Guardrail(
        rule=rule, name=name, rows=figure.rows, figure=figure, limit=limit, excess=excess, p_value=p_value,
        is_broken=False,
    )  # fmt: skip
