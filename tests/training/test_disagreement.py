from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from esteira.model_card import Column
from esteira.training.disagreement import explain_difference

NUMBERS = ("b", "a", "c")
COLUMNS = (
    *(Column(name=name, type="number", view="v") for name in NUMBERS),
    Column(name="w", type="category", view="v"),
)
VALUES: dict[str, list[Any]] = {
    "b": [0.31, -0.72, 1.9, None], "a": [1.13, 0.4, -0.6, 2.2], "c": [0.001, 1.7, 0.3, 0.9], "w": ["x", "y", "x", None]
}  # fmt: skip


def output(values: Mapping[str, Any]) -> Any:
    weights = dict(zip(NUMBERS, (0.7, -0.4, 0.25), strict=True))
    filled = {name: np.array([0.1 if v is None else v for v in values[name]]) for name in NUMBERS}
    word = np.array([{"x": 0.5, "y": -0.3, None: 0.0}[v] for v in values["w"]])
    return 1 / (1 + np.exp(-sum(weights[name] * filled[name] for name in NUMBERS) - word))


def explained(served: Any) -> list[str]:
    return explain_difference(
        COLUMNS, VALUES, served, binary=True, output=output, adjust=lambda each: np.clip(each, 0.01, 0.99),
        tolerance=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("served", "words"),
    [
        (1 - output(VALUES), "order of the classes"),
        (output({**VALUES, "b": VALUES["a"], "a": VALUES["b"]}), "order of the columns"),
        (output({**VALUES, "b": VALUES["c"], "c": VALUES["b"]}), "order of the columns"),
        (output({**VALUES, "a": [1.0, 0.0, 0.0, 2.0]}), "'a' cut to whole ones: the dtype"),
        (output({**VALUES, "w": [None] * 4}), "w without a value"),
        (output({**VALUES, "c": [None] * 4}), "'c' left out"),
    ],
)
def test_a_known_mistake_is_named(served: Any, words: str) -> None:
    (cause,) = explained(served)
    assert words in cause


def test_an_unknown_mistake_is_not_guessed_at() -> None:
    assert explained(output(VALUES) * 0.9) == []
