from datetime import timedelta

import polars as pl
import pytest

from esteira import use_cases
from esteira.contract import EVENT, MOMENT, PREDICTED_AT, utc
from esteira.errors import ModelError
from esteira.serving.ahead import AGES, MADE_AHEAD, predict_ahead
from esteira.serving.predictor import Predictor
from tests.serving.models import card, frame, xgboost_pipeline

DECLARED = use_cases.get("flight_delay")
PREDICTOR = Predictor(card(), xgboost_pipeline())
NOW = utc("2013-03-01T12:00:00Z")


def joined(rows: int) -> pl.DataFrame:
    keys = dict.fromkeys((*DECLARED.entity_keys, *DECLARED.request_inputs))
    plain = pl.DataFrame({name: [f"{name} {row}" for row in range(rows)] for name in keys if name != PREDICTED_AT})
    features = pl.from_pandas(frame(rows), nan_to_null=True)
    return plain.with_columns(features[name] for name in features.columns).with_columns(
        pl.lit(NOW, dtype=MOMENT).alias(EVENT)
    )


def times(rows: int) -> pl.DataFrame:
    found = [NOW - timedelta(seconds=row) if row % 2 else None for row in range(rows)]
    return pl.DataFrame({f"origin__{EVENT}": found}, schema={f"origin__{EVENT}": MOMENT})


def test_each_row_has_what_one_question_would_be_told() -> None:
    asked = joined(200)
    made = predict_ahead(DECLARED, PREDICTOR, asked, times(200))
    assert dict(made.drop(AGES).schema) == dict(MADE_AHEAD)
    for row, values in enumerate(asked.select(PREDICTOR.names).iter_rows(named=True)):
        told = made.row(row, named=True)
        assert told["output"] == PREDICTOR.output({name: [value] for name, value in values.items()})[0]
        assert told["missing"] == [name for name, value in values.items() if value is None]
        assert told[AGES] == {"origin": float(row) if row % 2 else None}
        assert (told["entity_id"], told["as_of"]) == (f"flight_id {row}", NOW)
    assert '"tailnum":"tailnum 7"' in made["given"][7]
    assert any(made["missing"].list.len() > 0)


def test_nobody_to_predict_for_is_no_failure() -> None:
    made = predict_ahead(DECLARED, PREDICTOR, joined(1).clear(), times(0))
    assert (made.height, dict(made.drop(AGES).schema)) == (0, dict(MADE_AHEAD))


def test_a_feature_that_the_model_needs_and_is_not_there_is_named() -> None:
    with pytest.raises((ModelError, pl.exceptions.ColumnNotFoundError), match="distance"):
        predict_ahead(DECLARED, PREDICTOR, joined(3).drop("distance"), times(3))
