"""What happens to a model's output before anybody sees it: bounds, declared rules, the decision at the threshold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from esteira.errors import ModelError
from esteira.model_card import Frozen
from esteira.rules import BOUNDS, Bands, Boost, Clip, Condition, Floor, Rank, Rules, Suppress

Columns = Mapping[str, Sequence[Any]]
Kind = Literal["binary", "regression"]


class Change(Frozen):
    """What one rule did to one answer."""

    rule: str
    what: Literal["prediction", "score", "rank", "suppressed"]
    before: float | None
    after: float | None
    reason: str


class Released(Protocol):
    """What carries the rules: a model card, or a release."""

    @property
    def threshold(self) -> float: ...  # noqa: D102
    @property
    def bounds(self) -> tuple[float, float]: ...  # noqa: D102
    @property
    def rules(self) -> Rules: ...  # noqa: D102


class Processed(NamedTuple):
    """One model output as it may be answered."""

    prediction: float
    decision: bool | None
    band: str | None = None
    rank: int | None = None
    suppressed: str | None = None
    """Why the prediction must not be shown; it is kept for the log."""
    changes: tuple[Change, ...] = ()


class PostProcessing(Frozen):
    """The declared rules; they are part of a release, so they change and roll back together with its model.

    >>> rules = PostProcessing(kind="binary", threshold=0.5, bounds=(0.01, 0.99))
    >>> [(each.prediction, each.decision) for each in rules.apply([0.0, 0.5, 1.0], {})]
    [(0.01, False), (0.5, True), (0.99, True)]
    """

    kind: Kind
    threshold: float
    bounds: tuple[float, float]
    rules: Rules = ()

    @classmethod
    def of(cls, kind: Kind, released: Released) -> Self:
        """The rules of a card, or of a release, whose model is of ``kind``."""
        return cls(kind=kind, threshold=released.threshold, bounds=released.bounds, rules=released.rules)

    @model_validator(mode="after")
    def _bounds_are_a_range(self) -> Self:
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"The bounds {self.bounds} are no range. Expected the lower one first.")
        if self.kind == "binary" and not (low >= 0 and high <= 1):
            raise ValueError(f"The bounds {self.bounds} leave [0, 1]. A probability cannot.")
        for each in self.rules:
            reach = _reach(each) if isinstance(each, Clip | Floor) else ()
            if any(not low <= value <= high for value in reach if value != np.inf):
                raise ValueError(f"Rule {each.name!r} moves predictions to {reach}, outside the bounds {self.bounds}.")
        return self

    def adjust(self, outputs: NDArray[np.float64], given: Columns) -> NDArray[np.float64]:
        """The predictions (n): outputs within the bounds, then clips and floors in their order.

        Raises ModelError when ``given`` lacks a column that a rule's condition looks at.
        """
        values = np.clip(outputs, *self.bounds)
        for rule in self.rules:
            if isinstance(rule, Clip | Floor):
                moved = np.clip(values, *_reach(rule))
                values = np.where(_holds(rule.when, given, len(values)), moved, values)
        return values

    def apply(self, outputs: Sequence[float], given: Columns) -> list[Processed]:
        """The n outputs of one request as they may be answered, in their order.

        ``given`` has the n entity keys and request inputs. Predictions equal those of ``adjust``. Raises as it does.
        """
        answers = [self._bounded(float(output)) for output in outputs]
        if not self.rules:
            return answers
        scores: list[float] | None = None
        for rule in self.rules:
            if isinstance(rule, Rank):
                answers = _ranked(rule, answers, scores or [each.prediction for each in answers], given)
                continue
            hit = _holds(rule.when, given, len(answers))
            if isinstance(rule, Boost):
                scores = scores or [each.prediction for each in answers]
                answers = [_scored(rule, *each) for each in zip(answers, scores, hit, strict=True)]
                scores = [score * rule.factor if held else score for score, held in zip(scores, hit, strict=True)]
            else:
                one = _ONE[type(rule)]
                answers = [one(self, rule, each) if held else each for each, held in zip(answers, hit, strict=True)]
        return answers

    def decide(self, prediction: float) -> bool | None:
        """Yes from the threshold on; a regression decides nothing, so None."""
        return prediction >= self.threshold if self.kind == "binary" else None

    def _bounded(self, output: float) -> Processed:
        low, high = self.bounds
        inside = min(max(output, low), high)
        if inside == output:
            return Processed(output, self.decide(output))
        reason = f"Predictions stay within {low:g} to {high:g}."
        change = Change(rule=BOUNDS, what="prediction", before=output, after=inside, reason=reason)
        return Processed(inside, self.decide(inside), changes=(change,))

    def _moved(self, rule: Clip | Floor, answer: Processed) -> Processed:
        low, high = _reach(rule)
        before, after = answer.prediction, min(max(answer.prediction, low), high)
        if after == before:
            return answer
        change = Change(rule=rule.name, what="prediction", before=before, after=after, reason=rule.reason)
        return _with(answer, change, prediction=after, decision=self.decide(after))

    def _banded(self, rule: Bands, answer: Processed) -> Processed:
        named = [name for start, name in rule.bands if answer.prediction >= start]
        return _with(answer, band=named[-1] if named else None)

    def _suppressed(self, rule: Suppress, answer: Processed) -> Processed:
        if answer.suppressed:
            return answer
        change = Change(rule=rule.name, what="suppressed", before=answer.prediction, after=None, reason=rule.reason)
        return _with(answer, change, suppressed=rule.reason)


_ONE: Mapping[type, Callable[[PostProcessing, Any, Processed], Processed]] = {
    Clip: PostProcessing._moved,
    Floor: PostProcessing._moved,
    Bands: PostProcessing._banded,
    Suppress: PostProcessing._suppressed,
}


def _reach(rule: Clip | Floor) -> tuple[float, float]:
    return (rule.low, rule.high) if isinstance(rule, Clip) else (rule.at_least, float("inf"))


def _with(answer: Processed, *changes: Change, **fields: Any) -> Processed:
    return answer._replace(changes=(*answer.changes, *changes), **fields)


def _scored(rule: Boost, answer: Processed, score: float, held: bool) -> Processed:
    if not held:
        return answer
    after = score * rule.factor
    return _with(answer, Change(rule=rule.name, what="score", before=score, after=after, reason=rule.reason))


def _holds(when: Condition | None, given: Columns, count: int) -> list[bool]:
    if when is None:
        return [True] * count
    if when.column not in given:
        raise ModelError(
            f"A post-processing rule looks at {when.column!r}, which the request does not have. It has "
            f"{', '.join(given) or 'no columns'}: conditions look at entity keys and request inputs."
        )
    return [value in when.values for value in given[when.column]]


def _ranked(rule: Rank, answers: Sequence[Processed], scores: Sequence[float], given: Columns) -> list[Processed]:
    shown = [place for place, answer in enumerate(answers) if answer.suppressed is None]
    plain = sorted(shown, key=lambda place: -answers[place].prediction)
    wanted = sorted(shown, key=lambda place: -scores[place])
    if rule.each is not None and rule.at_most is not None:
        wanted = _varied(wanted, _column(rule.each, given), rule.at_most)
    before = {place: rank for rank, place in enumerate(plain, start=1)}
    ranked = list(answers)
    for rank, place in enumerate(wanted, start=1):
        moved = (
            [Change(rule=rule.name, what="rank", before=before[place], after=rank, reason=rule.reason)]
            if before[place] != rank
            else []
        )
        ranked[place] = _with(answers[place], *moved, rank=rank)
    return ranked


def _varied(wanted: Sequence[int], kinds: Sequence[Any], at_most: int) -> list[int]:
    first: list[int] = []
    later: list[int] = []
    taken: dict[Any, int] = {}
    for place in wanted:
        taken[kinds[place]] = taken.get(kinds[place], 0) + 1
        (first if taken[kinds[place]] <= at_most else later).append(place)
    return first + later


def _column(name: str, given: Columns) -> Sequence[Any]:
    _holds(Condition(column=name, values=("",)), given, 0)  # raises when it is absent
    return given[name]
