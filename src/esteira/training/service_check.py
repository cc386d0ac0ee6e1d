"""Whether a challenger's service may be released, from what was observed of it. A pure judgement."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from esteira.limits import ServiceLimits
from esteira.model_card import Frozen
from esteira.training.verdict import Check, Verdict, conclude

_SHOWN = 3


class Observed(Frozen):
    """What was seen of a service that was started and asked the golden requests."""

    start_seconds: float
    failure: str | None = None
    """Why it never became ready, or stopped answering, in its own words."""
    latencies_ms: tuple[float, ...] = ()
    memory_mb: float = 0.0
    growth_mb: float = 0.0
    answers: tuple[Any, ...] = ()
    """To each golden request the JSON of its one answer, or the text of the refusal."""


class Expected(Frozen):
    """What the stored model says to each golden request, post-processed; None where a rule withholds it."""

    predictions: tuple[float | None, ...]
    bounds: tuple[float, float]


def judge_service(
    limits: ServiceLimits,
    observed: Observed,
    expected: Expected,
    *,
    contract: type[BaseModel],
    causes: Sequence[str] = (),
) -> Verdict:
    """The verdict on a service: started, sound, equal to the model, fast and small enough.

    ``contract`` is the type every answer must have; ``causes`` says what would explain answers that
    differ (training/disagreement.py).
    """
    started = _started(limits, observed)
    checks = (started, *_answered(limits, observed, expected, contract, causes)) if started.passed else (started,)
    return conclude("service", checks, {}, ())


def differing(limits: ServiceLimits, observed: Observed, expected: Expected) -> list[int]:
    """The places of sound answers that lie further from the model's own than tolerated."""
    return [
        place
        for place, (served, wanted) in enumerate(zip(_predictions(observed), expected.predictions, strict=False))
        if served is not None and wanted is not None and abs(served - wanted) > limits.tolerance
    ]


def _started(limits: ServiceLimits, observed: Observed) -> Check:
    sentence = f"The service started in {observed.start_seconds:.1f} s; {limits.most_start_seconds:g} are allowed."
    if observed.failure is not None:
        sentence = f"The service failed after {observed.start_seconds:.1f} s: {observed.failure}"
    passed = observed.failure is None and observed.start_seconds <= limits.most_start_seconds
    return Check(name="start", passed=passed, sentence=sentence)


def _answered(
    limits: ServiceLimits,
    observed: Observed,
    expected: Expected,
    contract: type[BaseModel],
    causes: Sequence[str],
) -> tuple[Check, ...]:
    count = len(expected.predictions)
    wrong = _unsound(observed.answers, contract)
    if len(observed.answers) < count:
        wrong.append(f"only {len(observed.answers)} of {count} requests were answered")
    out = _outside(observed, expected)
    apart = differing(limits, observed, expected)
    furthest = max((abs(_predictions(observed)[p] - expected.predictions[p]) for p in apart), default=0.0)  # type: ignore[operator]  # differing takes neither None
    equal = f"{count - len(apart)} of {count} golden requests are answered as the stored model answers them"
    if apart:
        equal += f"; the furthest is {furthest:.3g} apart, {limits.tolerance:g} is tolerated. " + (
            " ".join(causes) or "No known cause explains it."
        )
    withheld = _otherwise_withheld(observed, expected)
    if withheld:
        equal += f". Requests {withheld[:_SHOWN]} are withheld by a rule on one side only"
    p99 = float(np.quantile(observed.latencies_ms, 0.99)) if observed.latencies_ms else float("inf")
    return (
        Check(name="schema", passed=not wrong, sentence=_told("Every answer has the form it promises", wrong)),
        Check(name="range", passed=not out, sentence=_told("No answer is null, NaN or out of range", out)),
        Check(name="equality", passed=not apart and not withheld, sentence=f"{equal.removesuffix('.')}."),
        Check(
            name="p99", passed=p99 <= limits.most_p99_ms,
            sentence=f"Of {len(observed.latencies_ms)} requests 99 % were answered in {p99:.1f} ms; "
            f"{limits.most_p99_ms:g} are allowed.",
        ),
        Check(
            name="memory", passed=observed.memory_mb <= limits.most_memory_mb,
            sentence=f"Its largest process held {observed.memory_mb:.0f} MB; {limits.most_memory_mb:g} are allowed.",
        ),
        Check(
            name="memory growth", passed=observed.growth_mb <= limits.most_growth_mb,
            sentence=f"While {len(observed.latencies_ms)} requests were answered it grew by {observed.growth_mb:.1f} "
            f"MB; {limits.most_growth_mb:g} are allowed.",
        ),
    )  # fmt: skip


def _unsound(answers: Sequence[Any], contract: type[BaseModel]) -> list[str]:
    found = []
    for place, answer in enumerate(answers):
        if not isinstance(answer, Mapping):
            found.append(f"request {place} was answered by {answer!r:.300}")
            continue
        strange = sorted({*answer} ^ {*contract.model_fields})
        try:
            contract.model_validate(answer)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            strange.append(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        if strange:
            found.append(f"the answer to request {place} differs from the contract in {', '.join(strange)}")
    return found


def _outside(observed: Observed, expected: Expected) -> list[str]:
    low, high = expected.bounds
    found = []
    for place, answer in enumerate(observed.answers):
        if not isinstance(answer, Mapping) or "prediction" not in answer:
            continue
        value = answer["prediction"]
        if value is None:
            if answer.get("suppressed") is None:
                found.append(f"the prediction for request {place} is null")
        elif not isinstance(value, int | float) or not isfinite(value):
            found.append(f"the prediction for request {place} is {value!r}")
        elif not low <= value <= high:
            found.append(f"the prediction for request {place} is {value:g}, outside {low:g} to {high:g}")
    return found


def _otherwise_withheld(observed: Observed, expected: Expected) -> list[int]:
    return [
        place
        for place, (answer, wanted) in enumerate(zip(observed.answers, expected.predictions, strict=False))
        if isinstance(answer, Mapping) and (answer.get("suppressed") is None) != (wanted is not None)
    ]


def _predictions(observed: Observed) -> list[float | None]:
    given = [each.get("prediction") if isinstance(each, Mapping) else None for each in observed.answers]
    return [each if isinstance(each, int | float) and isfinite(each) else None for each in given]


def _told(sound: str, wrong: Sequence[str]) -> str:
    if not wrong:
        return f"{sound}."
    more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"Not so: {sound[0].lower()}{sound[1:]}. {'; '.join(wrong[:_SHOWN])}{more}."
