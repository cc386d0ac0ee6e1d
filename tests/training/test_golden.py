import numpy as np
import polars as pl

from esteira.model_card import Column
from esteira.training.golden import ROWS, Golden, pick

COLUMNS = (Column(name="origin", type="category", view="v"), Column(name="delay", type="number", view="v"))


def test_rows_are_spread_over_the_holdout_with_their_predictions_and_none_for_missing() -> None:
    rows = pl.DataFrame({"origin": ["JFK", None] * 100, "delay": [1.0, float("nan")] * 100, "other": [0] * 200})
    golden = Golden.model_validate_json(pick(rows, np.arange(200) / 200, COLUMNS))
    assert set(golden.values) == {"origin", "delay"}
    assert len(golden.predictions) == ROWS
    assert golden.predictions[0] == 0.0
    assert golden.predictions[-1] == 199 / 200
    assert golden.values["delay"][-1] is None
    assert golden.values["origin"][0] == "JFK"


def test_a_short_holdout_is_kept_whole() -> None:
    golden = Golden.model_validate_json(pick(pl.DataFrame({"origin": ["JFK"], "delay": [2]}), np.array([0.5]), COLUMNS))
    assert golden.values == {"origin": ["JFK"], "delay": [2.0]}
