"""Why a service answers otherwise than its model: known mistakes are tried on the model until one gives the answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esteira.model_card import Column

Values = Mapping[str, Sequence[Any]]
Answers = Callable[[Values], NDArray[np.float64]]


def explain_difference(
    columns: Sequence[Column],
    values: Values,
    served: Sequence[float],
    *,
    binary: bool,
    output: Answers,
    adjust: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    tolerance: float,
) -> list[str]:
    """The mistakes, in sentences, that give all n ``served`` answers when made on purpose; empty when none does.

    ``output`` is the model's own, from n values of every column; ``adjust`` what post-processing makes of it.
    """

    def gives(outputs: NDArray[np.float64]) -> bool:
        return bool(np.all(np.abs(adjust(outputs) - np.asarray(served)) <= tolerance))

    if binary and gives(1 - output(values)):
        return ["They are those of the other class: the order of the classes is swapped."]
    for mistake, spoilt in _mistakes(columns, values):
        if gives(output(spoilt)):
            return [mistake]
    return []


def _mistakes(columns: Sequence[Column], values: Values) -> Iterator[tuple[str, Values]]:
    numbers = [each.name for each in columns if each.type == "number"]
    words = [each.name for each in columns if each.type != "number"]
    for kind, names in (("numbers", numbers), ("categories", words)):
        for order, taken in (("alphabetical", sorted(names)), ("reversed", names[::-1])):
            if taken != names:
                yield (
                    f"They are those to columns in {order} order: the order of the columns ({kind}) differs.",
                    {**values, **{name: values[other] for name, other in zip(names, taken, strict=True)}},
                )
    for what, change in _CHANGES.items():
        yield (
            f"They are those to numbers {what}: the dtype of the columns differs.",
            {**values, **{name: [change(each) for each in values[name]] for name in numbers}},
        )
        for name in numbers:
            yield (
                f"They are those to {name!r} {what}: the dtype of the column differs.",
                {**values, name: [change(each) for each in values[name]]},
            )
    for names in (words, *([name] for name in words)):
        yield (
            f"They are those to {', '.join(names)} without a value: the dtype of the column differs, or it is dropped.",
            {**values, **{name: [None] * len(values[name]) for name in names}},
        )
    for group in (numbers, words):
        for one, other in combinations(group, 2):
            yield (
                f"They are those to {one!r} and {other!r} exchanged: the order of the columns differs.",
                {**values, one: values[other], other: values[one]},
            )


def _whole(value: Any) -> Any:
    return None if value is None else float(int(value))


def _half(value: Any) -> Any:
    return None if value is None else float(np.float16(value))


_CHANGES: Mapping[str, Callable[[Any], Any]] = {
    "cut to whole ones": _whole,
    "in half precision": _half,
    "left out": lambda _: None,
}
