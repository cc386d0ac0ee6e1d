from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from esteira.contract import UseCase
from esteira.errors import InputError, UnknownName
from esteira.model_card import ModelCard
from esteira.training.recipe import Recipe, resolve
from tests.serving.models import card

DECLARED = {"n_estimators": 30, "max_depth": 3, "learning_rate": 0.2}
TUNED = {"n_estimators": 80, "max_depth": 5, "learning_rate": 0.1}


def live(**changed: Any) -> ModelCard:
    known = {"candidate": "trees", "parameters": TUNED, "declared_parameters": DECLARED, "version": "2013-03-01-a"}
    return card(**{**known, "as_of": datetime(2013, 3, 1, tzinfo=UTC), **changed})


def test_before_anything_is_released_every_candidate_enters_as_declared(use_case: UseCase) -> None:
    entrants = resolve(use_case, Recipe(), None)
    assert [each.name for each in entrants] == ["line", "trees"]
    assert [each.parameters for each in entrants] == [{"C": 1.0}, DECLARED]
    assert {each.source for each in entrants} == {"As the use case declares them."}


def test_what_is_live_gives_its_candidate_the_parameters_it_was_approved_with(use_case: UseCase) -> None:
    line, trees = resolve(use_case, Recipe(), live())
    assert trees.parameters == TUNED
    assert trees.source == "Last approved: those of 2013-03-01-a, which is live."
    assert line.parameters == {"C": 1.0}


def test_a_changed_declaration_counts_more_than_what_was_approved_before_it(use_case: UseCase) -> None:
    _, trees = resolve(use_case, Recipe(), live(declared_parameters={**DECLARED, "max_depth": 9}))
    assert trees.parameters == DECLARED
    assert "2013-03-01-a, which is live, knew others" in trees.source


def test_given_parameters_are_laid_over_the_approved_ones_and_named(use_case: UseCase) -> None:
    (only,) = resolve(use_case, Recipe(candidate="trees", parameters={"max_depth": 4}), live())
    assert only.parameters == {**TUNED, "max_depth": 4}
    assert only.source.startswith("Given by hand: max_depth=4. Last approved")


def test_one_candidate_can_be_asked_for_alone(use_case: UseCase) -> None:
    assert [each.name for each in resolve(use_case, Recipe(candidate="line"), live())] == ["line"]


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        (Recipe(candidate="tres"), UnknownName, r"Unknown candidate 'tres'. Known: line, trees"),
        (Recipe(candidate="trees", parameters={"depth": 1}), UnknownName, r"'depth'. Known: n_estimators, max_depth"),
        (Recipe(parameters={"max_depth": 1}), InputError, "max_depth were given for no candidate"),
    ],
)
def test_what_is_not_declared_is_refused(
    use_case: UseCase, recipe: Recipe, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolve(replace(use_case), recipe, None)
