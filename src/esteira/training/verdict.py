"""What the gate answers: checks with their sentences, and the verdict they add up to."""

from collections.abc import Mapping, Sequence

from esteira.model_card import Estimate, Frozen
from esteira.training.guardrail import Guardrail


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
    guardrails: tuple[Guardrail, ...]


def conclude(
    metric: str, checks: Sequence[Check], figures: Mapping[str, Estimate], guardrails: Sequence[Guardrail]
) -> Verdict:
    """The verdict that ``checks`` add up to: passed if every one of them did."""
    broken = [check.name for check in checks if not check.passed]
    answer = f"Refused: {', '.join(broken)}." if broken else f"Passed: all {len(checks)} checks."
    return Verdict(
        passed=not broken,
        metric=metric,
        sentences=(answer, *(("" if check.passed else "FAILED: ") + check.sentence for check in checks)),
        checks=tuple(checks),
        figures=figures,
        guardrails=tuple(guardrails),
    )


def with_checks(verdict: Verdict, checks: Sequence[Check]) -> Verdict:
    """The verdict when ``checks``, judged elsewhere, have to be kept too."""
    return conclude(verdict.metric, (*verdict.checks, *checks), verdict.figures, verdict.guardrails)
