"""The gate: decide from numbers alone whether a challenger may be released. Pure, and failing closed.

Champion and challenger are compared on the same rows, pair by pair, with whole days as the independent blocks. The
challenger must be shown not to be worse by the margin (non-inferiority), shown to beat a constant prediction and every
declared floor, and no slice or group may be shown to suffer. What cannot be decided about the whole is decided against
the challenger; a part too small to judge is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from esteira.contract import PRIMARY
from esteira.errors import InputError
from esteira.limits import GateLimits
from esteira.model_card import Estimate
from esteira.training.bootstrap import (
    CONFIDENCE,
    MINIMUM_DAYS,
    REPEATS,
    Days,
    Floats,
    bounds,
    draw_days,
    expanded_tail,
    mean_replicates,
    number_days,
)
from esteira.training.evaluate import SURE, Kind, evaluate, row_losses
from esteira.training.fairness import group_gaps
from esteira.training.guardrail import Guardrail, Rule, cut, judge_family, slice_differences, slice_floors
from esteira.training.soundness import sound_inputs, within_resources
from esteira.training.verdict import Check, Verdict, conclude

_RULES: Mapping[Rule, str] = {
    "slices": "worse than the {reference} by more than {limit:g}",
    "fairness": "treated apart by more than declared",
    "floors": "below a floor for slices",
}


@dataclass(frozen=True)
class _Rows:
    """What is judged, validated: n rows on numbered days."""

    kind: Kind
    y: Floats
    ours: Floats
    theirs: Floats | None
    numbered: Days
    days: int
    threshold: float | None
    seed: int


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
    threshold: float | None = None,
    groups: Mapping[str, Sequence[object]] | None = None,
    one_row_ms: float | None = None,
    size_bytes: int | None = None,
) -> Verdict:
    """Judge a challenger's n predictions against a champion's on the same rows, or against the baseline when first.

    ``baseline`` is the constant prediction learned from the training rows, ``days`` the day of each row, ``slices`` and
    ``groups`` (the columns of the fairness limits) column -> n values, ``allowed`` the bounds predictions must keep,
    ``trained_until`` the challenger's newest training row, ``judged_from`` the oldest row judged, ``threshold`` the
    probability from which the answer is yes. An interval is two-sided 95 %; decisions on the whole use one-sided bounds
    at the limits' confidence, of the paired differences.

    Raises InputError when the inputs are not of one length, or a declared limit cannot be measured on them: that is
    the caller's mistake, not a verdict.
    """
    y, ours = np.asarray(outcomes, dtype=np.float64), np.asarray(challenger, dtype=np.float64)
    theirs = None if champion is None else np.asarray(champion, dtype=np.float64)
    numbered, count = number_days(days)
    columns = {**slices, **(groups or {})}
    lengths = {len(y), len(ours), len(numbered), len(y if theirs is None else theirs), *map(len, columns.values())}
    if len(lengths) != 1:
        raise InputError(f"The gate was given columns of different lengths, {sorted(lengths)}. Pass one value per row.")
    checks = sound_inputs(limits, kind, y, ours, theirs, count, baseline, allowed, trained_until, judged_from)
    checks += within_resources(limits, one_row_ms, size_bytes)
    if not all(check.passed for check in checks if check.name not in {"latency", "size"}):
        return conclude(PRIMARY[kind], checks, {}, ())
    rows = _Rows(kind, y, ours, theirs, numbered, count, threshold, seed)
    figures, compared = _compare(limits, rows, baseline)
    guardrails = _guard(limits, rows, baseline, slices, groups or {})
    checks += [*compared, *_sharpness(limits, rows), *_floors(limits, rows)]
    checks += _told(limits, guardrails, theirs is None)
    return conclude(PRIMARY[kind], checks, figures, guardrails)


def _compare(limits: GateLimits, rows: _Rows, baseline: float) -> tuple[dict[str, Estimate], list[Check]]:
    """The primary metric of both models and of the constant, and the two rules about their differences."""
    draws = draw_days(rows.days, repeats=REPEATS, seed=rows.seed)
    tail = expanded_tail(1 - limits.confidence, rows.days)
    percent, metric = f"{limits.confidence:.0%}", PRIMARY[rows.kind]
    figures: dict[str, Estimate] = {}

    def mean(losses: Floats, name: str) -> float:
        replicates = mean_replicates(losses, rows.numbered, rows.days, draws)
        low, high = bounds(replicates, days=rows.days, confidence=CONFIDENCE)
        figures[name] = Estimate(value=float(losses.mean()), low=low, high=high, rows=len(losses))
        return float(np.quantile(replicates, 1 - tail))

    ours, constant = row_losses(rows.kind, rows.y, rows.ours), _constant_losses(rows, baseline)
    mean(ours, "challenger")
    mean(constant, "baseline")
    worst_above_floor = mean(ours - (1 - limits.baseline_gain) * constant, "above_floor")
    floor = (1 - limits.baseline_gain) * figures["baseline"].value
    checks = [
        Check(
            name="absolute floor",
            passed=worst_above_floor <= 0,
            sentence=f"Challenger {metric} {_shown(figures['challenger'])} must be under {floor:.4f}, "
            f"{limits.baseline_gain:.1%} better than the constant prediction's {figures['baseline'].value:.4f}; "
            f"with {percent} confidence it is at most {floor + worst_above_floor:.4f}.",
        )
    ]
    if rows.theirs is not None:
        theirs = row_losses(rows.kind, rows.y, rows.theirs)
        mean(theirs, "champion")
        worst = mean(ours - theirs, "difference")
        checks.append(
            Check(
                name="non-inferiority",
                passed=worst <= limits.margin,
                sentence=f"Challenger {metric} minus champion's {_shown(figures['champion'])} is "
                f"{_shown(figures['difference'], '+')}; with {percent} confidence it is at most {worst:+.4f}, "
                f"and {limits.margin:+.4f} is tolerated.",
            )
        )
    return figures, checks


def _sharpness(limits: GateLimits, rows: _Rows) -> list[Check]:
    """Whether the answers are as far apart as the champion's: sharpness, after Gneiting et al. (JRSS B 69, 2007)."""
    if limits.least_sharpness is None or rows.theirs is None:
        return []
    ours, theirs = (_spread(rows.kind, each) for each in (rows.ours, rows.theirs))
    share = ours / theirs if theirs > 0 else 1.0  # nothing is flatter than a constant
    sentence = (
        f"The challenger's answers have {share:.3f} of the spread of the champion's; at least "
        f"{limits.least_sharpness:g} is wanted, because labels that were turned round flatten all answers."
    )
    return [Check(name="sharpness", passed=share >= limits.least_sharpness, sentence=sentence)]


def _spread(kind: Kind, predictions: Floats) -> float:
    if kind == "regression":
        return float(predictions.std())
    sure = np.clip(predictions, SURE, 1 - SURE)
    return float(np.log(sure / (1 - sure)).std())


def _floors(limits: GateLimits, rows: _Rows) -> list[Check]:
    """One check a declared floor, on all rows; a metric that these rows do not define does not reach it."""
    if not limits.floors:
        return []
    found = evaluate(
        rows.kind, rows.y, rows.ours, rows.numbered, seed=rows.seed, threshold=rows.threshold,
        only={limit.metric for limit in limits.floors},
    )  # fmt: skip
    checks = []
    for limit in limits.floors:
        figure = found.get(limit.metric)
        least, most = limit.least, limit.most
        passed = figure is not None and (
            (least is None or figure.low >= least) and (most is None or figure.high <= most)
        )
        wanted = f"at least {least:g}" if least is not None else f"at most {most:g}"
        sentence = f"Challenger {limit.metric} is {_shown(figure)}; its whole interval must be {wanted}."
        checks.append(Check(name=f"{limit.metric} floor", passed=passed, sentence=sentence))
    return checks


def _guard(
    limits: GateLimits, rows: _Rows, baseline: float, slices: Mapping[str, Sequence[object]],
    groups: Mapping[str, Sequence[object]],
) -> tuple[Guardrail, ...]:  # fmt: skip
    parts = cut(slices, rows.numbered)
    reference = _constant_losses(rows, baseline) if rows.theirs is None else row_losses(rows.kind, rows.y, rows.theirs)
    differences = row_losses(rows.kind, rows.y, rows.ours) - reference
    family = [
        *slice_differences(limits, PRIMARY[rows.kind], differences, parts, rows.seed),
        *slice_floors(limits, rows.kind, rows.y, rows.ours, parts, rows.threshold, rows.seed),
        *group_gaps(limits, rows.y, rows.ours, rows.numbered, rows.days, groups, rows.threshold, rows.seed),
    ]
    return judge_family(family, limits.confidence)


def _told(limits: GateLimits, guardrails: Sequence[Guardrail], is_first: bool) -> list[Check]:
    """One check a kind of guardrail that was judged, naming what broke, what may be chance and what was too small."""
    checks = []
    reference = "constant prediction" if is_first else "champion"
    for rule, harm in _RULES.items():
        judged = [each for each in guardrails if each.rule == rule]
        if not judged and rule != "slices":
            continue
        broken = [each for each in judged if each.is_broken]
        chance = [each for each in judged if not each.is_broken and each.excess is not None and each.excess > 0]
        small = sum(each.figure is None for each in judged)
        sentence = (
            f"{rule.capitalize()}: {len(judged) - small} parts were judged, {small} were too small to judge (under "
            f"{limits.minimum_slice_rows} rows or {MINIMUM_DAYS} days, or the declared minimum); shown to be "
            f"{harm.format(reference=reference, limit=limits.slice_margin)}: {_listed(broken)}"
            + (f"; beyond the limit, though it may be chance: {_listed(chance)}." if chance else ".")
        )
        checks.append(Check(name=rule, passed=not broken, sentence=sentence))
    return checks


def _constant_losses(rows: _Rows, baseline: float) -> Floats:
    return row_losses(rows.kind, rows.y, np.full(len(rows.y), baseline))


def _listed(guardrails: Sequence[Guardrail]) -> str:
    return ", ".join(f"{each.name} ({_shown(each.figure, '+')}, limit {each.limit:g})" for each in guardrails) or "none"


def _shown(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "not defined on these rows"
    return f"{estimate.value:{sign}.4f} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"
