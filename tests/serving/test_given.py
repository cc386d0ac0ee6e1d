from typing import Any

import pytest

from esteira.errors import InvalidRequest
from esteira.serving.given import given_rows
from tests.serving.models import card


def test_rows_become_columns_of_every_feature_and_what_is_left_out_is_missing() -> None:
    found = given_rows(card(), [{"origin": "JFK", "distance": 5}, {"delay_mean_2h": -1.5, "origin": None}])
    assert found.values == {"origin": ["JFK", None], "distance": [5, None], "delay_mean_2h": [None, -1.5]}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"orgin": "JFK"}, "Unknown features orgin. Model 'm1' has 3, such as origin, distance"),
        ({"distance": "far"}, "'distance' cannot be 'far'"),
        ({"origin": 3}, "'origin' cannot be 3. Model 'm1' expects text"),
        ({"distance": 10**400}, "'distance' cannot be 1000"),
        ({"distance": 1e39}, "magnitude below 3.4e38"),
        ({"distance": float("nan")}, "'distance' cannot be nan"),
    ],
)
def test_what_the_model_does_not_know_is_refused(row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        given_rows(card(), [row])
