from collections.abc import Callable

import pytest

from esteira.contract import UseCase
from esteira.training.golden import ROWS, Golden, pick
from esteira.training.learn import Where, fit_entrant
from esteira.training.recipe import declared
from tests.training.test_fit import COLUMNS, Parcels


@pytest.fixture
def golden(use_case: UseCase, parcels: Parcels) -> Callable[..., Golden]:
    rows = parcels(days=10)
    pipeline = fit_entrant(use_case, declared(use_case.candidates)[1], rows, COLUMNS, Where(1, 1, "cpu"))

    def build(count: int = 500, **more: set[str]) -> Golden:
        return Golden.model_validate_json(pick(use_case, pipeline, rows.head(count), COLUMNS, **more))

    return build


def test_rows_are_spread_over_the_holdout_with_the_models_answers(
    golden: Callable[..., Golden], parcels: Parcels
) -> None:
    found = golden()
    assert set(found.values) == {column.name for column in COLUMNS}
    assert len(found.predictions) == ROWS
    assert len(set(found.predictions)) > 5
    first = parcels(days=10).row(0, named=True)
    assert {name: values[0] for name, values in found.values.items()} == {name: first[name] for name in found.values}


def test_a_short_holdout_is_kept_whole(golden: Callable[..., Golden]) -> None:
    assert len(golden(3).predictions) == 3


def test_restricted_values_are_left_out_and_the_answers_are_to_what_is_left(golden: Callable[..., Golden]) -> None:
    found = golden(hidden={"origin", "delay"})
    assert set(found.values["origin"]) == set(found.values["delay"]) == {None}
    assert found.predictions != golden().predictions
    assert isinstance(found.values["noise"][0], float)
