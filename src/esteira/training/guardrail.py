"""The gate's guardrail: does any slice suffer, many slices and chance considered?"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from esteira.contract import GateLimits
from esteira.model_card import Estimate, Frozen
from esteira.training.bootstrap import MINIMUM_DAYS, REPEATS, Floats, bounds, draw_days, mean_replicates, number_days
from esteira.training.evaluate import slice_masks


class SliceVerdict(Frozen):
    """One slice: how much worse (positive) or better the challenger is there, or why it was not judged."""

    slice: str
    rows: int
    difference: Estimate | None
    p_value: float | None
    """Of the hypothesis that the challenger is not worse than the slice margin; None when not judged."""
    is_harmed: bool


def judge_slices(
    limits: GateLimits, differences: Floats, numbered: npt.NDArray[np.int64], slices: Mapping[str, Sequence[object]],
    seed: int,
) -> tuple[SliceVerdict, ...]:  # fmt: skip
    """Judge each slice's mean of ``differences`` (challenger's loss minus the reference's, one a row).

    A slice is harmed when its difference exceeds ``limits.slice_margin`` beyond chance, by Holm's step-down procedure
    over all slices (Scandinavian Journal of Statistics 6, 1979), so that many slices do not mean many false alarms.
    """
    found: list[SliceVerdict] = []
    for name, mask in slice_masks(slices):
        rows = int(mask.sum())
        of_day, days = number_days(numbered[mask])
        if rows < limits.minimum_slice_rows or days < MINIMUM_DAYS:
            found.append(SliceVerdict(slice=name, rows=rows, difference=None, p_value=None, is_harmed=False))
            continue
        replicates = mean_replicates(differences[mask], of_day, days, draw_days(days, repeats=REPEATS, seed=seed))
        value = float(differences[mask].mean())
        low, high = bounds(replicates, days=days, confidence=0.95)
        # Far tails cannot be read from a thousand resamples: their spread and Student's t give the p-value instead.
        spread = float(replicates.std(ddof=1)) * np.sqrt(days / (days - 1))
        excess = value - limits.slice_margin
        p_value = float(stats.t.sf(excess / spread, days - 1)) if spread > 0 else float(excess <= 0)
        found.append(
            SliceVerdict(
                slice=name, rows=rows, difference=Estimate(value=value, low=low, high=high, rows=rows),
                p_value=p_value, is_harmed=False,
            )
        )  # fmt: skip
    harmed = _holm({place: each.p_value for place, each in enumerate(found) if each.p_value is not None}, limits)
    return tuple(
        each.model_copy(update={"is_harmed": True}) if place in harmed else each for place, each in enumerate(found)
    )


def _holm(p_values: Mapping[int, float], limits: GateLimits) -> set[int]:
    harmed: set[int] = set()
    for rank, place in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        if p_values[place] > (1 - limits.confidence) / (len(p_values) - rank):
            break
        harmed.add(place)
    return harmed
