"""The gate: decide from numbers alone whether a challenger may be released. Pure, and failing closed.

Champion and challenger are compared on the same rows, pair by pair, with whole days as the independent blocks. The
challenger must be shown not to be worse by the margin (non-inferiority), shown to beat a constant prediction, and no
slice may be shown to suffer. What cannot be decided is decided against the challenger.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from esteira.contract import PRIMARY, GateLimits
from esteira.errors import InputError
from esteira.model_card import Estimate, Frozen
from esteira.training.bootstrap import (
    MINIMUM_DAYS,
    REPEATS,
    Floats,
    bounds,
    draw_days,
    expanded_tail,
    mean_replicates,
    number_days,
)
from esteira.training.evaluate import Kind, row_losses
from esteira.training.guardrail import SliceVerdict, judge_slices


class Check(Frozen):
    """One rule of the gate and whether the challenger kept it."""

    name: str
    passed: bool
    sentence: str


class Verdict(Frozen):
    """The gate's answer, with every figure behind it."""

    passed: bool
    metric: str
    sentences: tuple[str, ...]
    """The answer, then one sentence per check."""
    checks: tuple[Check, ...]
    figures: Mapping[str, Estimate]
    """challenger, champion (or absent), baseline, difference and gain over the floor, in the metric's unit."""
    slices: tuple[SliceVerdict, ...]


def judge(
    limits: GateLimits,
    kind: Kind,
    *,
    outcomes: npt.ArrayLike,
    challenger: npt.ArrayLike,
    champion: npt.ArrayLike | None,
    baseline: float,
    days: npt.ArrayLike,
    slices: Mapping[str, Sequence[object]],
    allowed: tuple[float, float],
    trained_until: datetime,
    judged_from: datetime,
    seed: int,
) -> Verdict:
    """Judge a challenger's n predictions against a champion's on the same rows, or against the baseline when first.

    ``baseline`` is the constant prediction learned from the training rows, ``days`` the day of each row, ``slices``
    column -> n values, ``allowed`` the bounds predictions must keep, ``trained_until`` the challenger's newest training
    row and ``judged_from`` the oldest row judged. An interval is two-sided 95 %; decisions use one-sided bounds at the
    limits' confidence, of the paired differences.

    Raises InputError when the inputs are not of one length: that is the caller's mistake, not a verdict.
    """
    y, ours = np.asarray(outcomes, dtype=np.float64), np.asarray(challenger, dtype=np.float64)
    theirs = None if champion is None else np.asarray(champion, dtype=np.float64)
    numbered, count = number_days(days)
    lengths = {len(y), len(ours), len(numbered), len(y if theirs is None else theirs), *map(len, slices.values())}
    if len(lengths) != 1:
        raise InputError(f"The gate was given columns of different lengths, {sorted(lengths)}. Pass one value per row.")
    checks = _soundness(limits, kind, y, ours, theirs, count, baseline, allowed)
    checks.append(
        Check(
            name="unseen rows",
            passed=trained_until < judged_from,
            sentence=f"The challenger was trained on rows until {trained_until.isoformat()} and judged on rows from "
            f"{judged_from.isoformat()}; none may be seen in training.",
        )
    )
    if not all(check.passed for check in checks):
        return _verdict(PRIMARY[kind], checks, {}, ())
    return _compare(limits, kind, y, ours, theirs, baseline, numbered, count, slices, checks, seed)


def with_check(verdict: Verdict, check: Check) -> Verdict:
    """The verdict when ``check``, judged elsewhere, has to be kept too."""
    return _verdict(verdict.metric, (*verdict.checks, check), verdict.figures, verdict.slices)


def _soundness(
    limits: GateLimits, kind: Kind, y: Floats, ours: Floats, theirs: Floats | None, days: int, baseline: float,
    allowed: tuple[float, float],
) -> list[Check]:  # fmt: skip
    low, high = allowed
    sound = np.isfinite(ours) & (ours >= low) & (ours <= high)
    checks = [
        Check(
            name="enough rows",
            passed=len(y) >= limits.minimum_rows and days >= MINIMUM_DAYS,
            sentence=f"{len(y)} rows of {days} days were judged; at least {limits.minimum_rows} rows of "
            f"{MINIMUM_DAYS} days are needed.",
        ),
        Check(
            name="sound outcomes",
            passed=bool(np.isfinite(y).all()) and (kind == "regression" or set(np.unique(y)) == {0.0, 1.0}),
            sentence=f"{(~np.isfinite(y)).sum()} of {len(y)} outcomes are missing or not finite; "
            + ("both classes are needed." if kind == "binary" else "none may be."),
        ),
        Check(
            name="sound predictions",
            passed=bool(sound.all()),
            sentence=f"{(~sound).sum()} of {len(y)} challenger predictions are missing, not finite or outside "
            f"[{low:g}, {high:g}]; none may be.",
        ),
        Check(
            name="sound baseline",
            passed=bool(np.isfinite(baseline)),
            sentence=f"The constant prediction to beat is {baseline:g}; it must be a number.",
        ),
    ]
    if theirs is not None:
        wrong = int((~np.isfinite(theirs)).sum())
        checks.append(
            Check(
                name="sound champion",
                passed=wrong == 0,
                sentence=f"{wrong} of {len(y)} champion predictions are missing or not finite; none may be.",
            )
        )
    return checks


def _compare(
    limits: GateLimits, kind: Kind, y: Floats, ours: Floats, theirs: Floats | None, baseline: float,
    numbered: npt.NDArray[np.int64], days: int, slices: Mapping[str, Sequence[object]], checks: list[Check], seed: int,
) -> Verdict:  # fmt: skip
    draws = draw_days(days, repeats=REPEATS, seed=seed)
    tail = expanded_tail(1 - limits.confidence, days)
    percent = f"{limits.confidence:.0%}"
    metric = PRIMARY[kind]

    def mean(losses: Floats, name: str) -> float:
        replicates = mean_replicates(losses, numbered, days, draws)
        low, high = bounds(replicates, days=days, confidence=0.95)
        figures[name] = Estimate(value=float(losses.mean()), low=low, high=high, rows=len(losses))
        return float(np.quantile(replicates, 1 - tail))

    figures: dict[str, Estimate] = {}
    our_losses = row_losses(kind, y, ours)
    constant_losses = row_losses(kind, y, np.full(len(y), baseline))
    their_losses = constant_losses if theirs is None else row_losses(kind, y, theirs)
    mean(our_losses, "challenger")
    mean(constant_losses, "baseline")
    worst_above_floor = mean(our_losses - (1 - limits.baseline_gain) * constant_losses, "above_floor")
    floor = (1 - limits.baseline_gain) * figures["baseline"].value
    checks.append(
        Check(
            name="absolute floor",
            passed=worst_above_floor <= 0,
            sentence=f"Challenger {metric} {_shown(figures['challenger'])} must be under {floor:.4f}, "
            f"{limits.baseline_gain:.1%} better than the constant prediction's {figures['baseline'].value:.4f}; "
            f"with {percent} confidence it is at most {floor + worst_above_floor:.4f}.",
        )
    )
    if theirs is not None:
        mean(their_losses, "champion")
        worst = mean(our_losses - their_losses, "difference")
        checks.append(
            Check(
                name="non-inferiority",
                passed=worst <= limits.margin,
                sentence=f"Challenger {metric} minus champion's {_shown(figures['champion'])} is "
                f"{_shown(figures['difference'], '+')}; with {percent} confidence it is at most {worst:+.4f}, "
                f"and {limits.margin:+.4f} is tolerated.",
            )
        )
    judged = judge_slices(limits, our_losses - their_losses, numbered, slices, seed)
    harmed = [each for each in judged if each.is_harmed]
    skipped = sum(each.difference is None for each in judged)
    checks.append(
        Check(
            name="slices",
            passed=not harmed,
            sentence=f"{len(judged) - skipped} slices were judged against the "
            f"{'constant prediction' if theirs is None else 'champion'}, {skipped} were too small to judge (under "
            f"{limits.minimum_slice_rows} rows or {MINIMUM_DAYS} days); shown to be worse by more than "
            f"{limits.slice_margin:g}: "
            + (", ".join(f"{each.slice} ({_shown(each.difference, '+')})" for each in harmed) or "none")
            + ".",
        )
    )
    return _verdict(metric, checks, figures, judged)


def _shown(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "not judged"
    return f"{estimate.value:{sign}.4f} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"


def _verdict(
    metric: str, checks: Sequence[Check], figures: Mapping[str, Estimate], slices: tuple[SliceVerdict, ...]
) -> Verdict:
    broken = [check.name for check in checks if not check.passed]
    answer = f"Refused: {', '.join(broken)}." if broken else f"Passed: all {len(checks)} checks."
    return Verdict(
        passed=not broken,
        metric=metric,
        sentences=(answer, *(("" if check.passed else "FAILED: ") + check.sentence for check in checks)),
        checks=tuple(checks),
        figures=figures,
        slices=slices,
    )
