import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from esteira.encoding import ColumnEncoder, DenseEncoder
from esteira.errors import DataError, WrongColumns

FRAME = pd.DataFrame(
    {
        "origin": ["JFK", "EWR", None, "LGA"],
        "distance": [1400.0, 200.0, math.nan, 300.0],
        "seats": [180, 20, 55, 100],
        "is_holiday": [True, False, False, True],
    }
)
ROW = {"origin": ["EWR"], "distance": [200.0], "seats": [20], "is_holiday": [False]}


def test_words_become_ranks_in_the_sorted_vocabulary_and_numbers_stay() -> None:
    matrix = ColumnEncoder().fit_transform(FRAME)
    expected = [[1, 1400, 180, 1], [0, 200, 20, 0], [math.nan, math.nan, 55, 0], [2, 300, 100, 1]]
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected, dtype=np.float32))


def test_the_order_of_columns_and_rows_given_does_not_change_the_encoding() -> None:
    encoder = ColumnEncoder().fit(FRAME)
    shuffled = FRAME[["seats", "is_holiday", "origin", "distance"]].iloc[::-1]
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(FRAME)[::-1])
    assert ColumnEncoder().fit(FRAME.iloc[::-1]).codes_ == encoder.codes_


@pytest.mark.parametrize("kind", [ColumnEncoder, DenseEncoder])
def test_a_word_never_seen_and_a_missing_one_are_the_same(kind: type[ColumnEncoder]) -> None:
    encoder = kind().fit(FRAME)
    unseen, missing = (encoder.encode_columns({**ROW, "origin": [word]}) for word in ("XXX", None))
    np.testing.assert_array_equal(unseen, missing)


def test_missing_is_none_nan_or_pandas_na_alike() -> None:
    encoder = ColumnEncoder().fit(FRAME)
    for missing in (None, math.nan):
        assert np.isnan(encoder.encode_columns({**ROW, "distance": [missing]})[0, 1])
        assert np.isnan(encoder.encode_columns({**ROW, "origin": [missing]})[0, 0])
    modern = FRAME.convert_dtypes()
    np.testing.assert_array_equal(encoder.transform(modern), encoder.transform(FRAME))
    categorical = FRAME.astype({"origin": "category"})
    np.testing.assert_array_equal(ColumnEncoder().fit(categorical).transform(categorical), encoder.transform(FRAME))


CELLS = {
    "word": st.none() | st.sampled_from(["a", "b", "ä", ""]) | st.text(max_size=3),
    "real": st.none() | st.floats(-1e30, 1e30) | st.just(math.nan),
    "whole": st.integers(-(2**60), 2**60),
    "flag": st.booleans(),
}


@pytest.mark.parametrize("kind", [ColumnEncoder, DenseEncoder])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(1, 8))
def test_one_at_a_time_without_pandas_is_bit_equal_to_the_whole_frame(
    kind: type[ColumnEncoder], data: st.DataObject, rows: int
) -> None:
    values = {name: data.draw(st.lists(cell, min_size=rows, max_size=rows)) for name, cell in CELLS.items()}
    values["word"][0] = "a"  # a column of None alone could hold anything
    values["real"][0] = 0.5
    frame = pd.DataFrame({"word": pd.Series(values["word"], dtype=object)} | {n: values[n] for n in list(values)[1:]})
    encoder = kind().fit(frame)
    whole = encoder.transform(frame)
    assert encoder.encode_columns(values).tobytes() == whole.tobytes()
    singles = [encoder.encode_columns({name: [column[i]] for name, column in values.items()}) for i in range(rows)]
    assert np.concatenate(singles).tobytes() == whole.tobytes()
    assert whole.shape == (rows, len(encoder.get_feature_names_out()))


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e39])
def test_what_is_infinite_in_32_bits_is_refused_by_name(value: float) -> None:
    encoder = ColumnEncoder().fit(FRAME)
    with pytest.raises(DataError, match=re.escape(f"'distance' holds {value}")):
        encoder.encode_columns({**ROW, "distance": [value]})
    with pytest.raises(DataError, match="'distance'"):
        encoder.transform(FRAME.assign(distance=value))


def test_absent_and_unknown_columns_are_named() -> None:
    encoder = ColumnEncoder().fit(FRAME)
    with pytest.raises(WrongColumns, match="missing: distance; not expected: distanse"):
        encoder.transform(FRAME.rename(columns={"distance": "distanse"}))
    with pytest.raises(WrongColumns, match="not expected: extra"):
        encoder.encode_columns({**ROW, "extra": [1]})
    with pytest.raises(WrongColumns, match="'distance' has 2 values, but 'origin' has 1"):
        encoder.encode_columns({**ROW, "distance": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("distance", "200", "'distance' holds '200' .str., but the model expects numbers"),
        ("origin", 7, "'origin' holds 7 .int., but the model expects text"),
        ("origin", 1.5, "'origin' holds 1.5 .float."),
    ],
)
def test_a_value_of_another_type_is_refused_not_converted(column: str, value: object, message: str) -> None:
    encoder = ColumnEncoder().fit(FRAME)
    with pytest.raises(WrongColumns, match=message):
        encoder.encode_columns({**ROW, column: [value]})
    with pytest.raises(WrongColumns, match=message):
        encoder.transform(pd.DataFrame({**ROW, column: pd.Series([value], dtype=object)}))


def test_dates_and_mixed_columns_cannot_be_learned_from() -> None:
    with pytest.raises(WrongColumns, match="'when' has the type datetime64"):
        ColumnEncoder().fit(pd.DataFrame({"when": pd.to_datetime(["2013-01-01"])}))
    with pytest.raises(WrongColumns, match="expects text"):
        ColumnEncoder().fit(pd.DataFrame({"mixed": ["a", 1]}))
    with pytest.raises(WrongColumns, match="uniquely named"):
        ColumnEncoder().fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_unfitted_says_so_and_clones_are_unfitted() -> None:
    with pytest.raises(NotFittedError, match="Call fit first"):
        ColumnEncoder().encode_columns(ROW)
    with pytest.raises(NotFittedError):
        clone(ColumnEncoder().fit(FRAME)).transform(FRAME)


def test_the_dense_encoder_leaves_nothing_missing_and_scales_to_unit_spread() -> None:
    encoder = DenseEncoder().fit(FRAME)
    matrix = encoder.transform(FRAME)
    names = list(encoder.get_feature_names_out())
    assert names == ["origin=EWR", "origin=JFK", "origin=LGA", "distance", "seats", "is_holiday", "distance is missing"]
    np.testing.assert_array_equal(matrix[2], [0, 0, 0, 0, matrix[2, 4], -1, 1])
    np.testing.assert_allclose(matrix[:, 3:6].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(matrix[:, 4].std(), 1, atol=1e-6)


def test_constant_and_all_missing_columns_become_zeros_in_the_dense_encoder() -> None:
    frame = pd.DataFrame({"constant": [7e8] * 3, "nothing": [math.nan] * 3})
    np.testing.assert_array_equal(DenseEncoder().fit_transform(frame), [[0, 0, 1]] * 3)
