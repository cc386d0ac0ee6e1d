from typing import Any

import numpy as np
import polars as pl
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st

from esteira.errors import InvalidRequest, WrongColumns
from esteira.features.online_keys import EntityKeys

VALUES: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.INT32: st.integers(-(2**31), 2**31 - 1),
    ValueType.INT64: st.integers(-(2**63), 2**63 - 1),
    ValueType.STRING: st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    ValueType.BYTES: st.binary(min_size=1),
}


@given(st.data())
def test_keys_are_encoded_as_feast_encodes_them(data: st.DataObject) -> None:
    types = data.draw(
        st.dictionaries(st.sampled_from(["b", "aa", "Z", "key_1"]), st.sampled_from(list(VALUES)), min_size=1)
    )
    row = {name: data.draw(VALUES[kind]) for name, kind in types.items()}
    messages = [python_values_to_proto_values([row[name]], kind)[0] for name, kind in types.items()]
    expected = serialize_entity_key(EntityKey(join_keys=list(types), entity_values=messages), 3)
    assert EntityKeys("view", types).encode({name: [value] for name, value in row.items()}) == [expected]


def test_a_key_of_which_a_part_is_none_is_no_key() -> None:
    keys = EntityKeys("view", {"a": ValueType.INT64, "b": ValueType.STRING})
    encoded = keys.encode({"a": [1, None, 1], "b": ["x", "x", None]})
    assert [key is None for key in encoded] == [False, True, True]


def test_an_integer_of_numpy_is_an_integer() -> None:
    keys = EntityKeys("view", {"a": ValueType.INT64})
    assert keys.encode({"a": [np.int64(7)]}) == keys.encode({"a": [7]})


def test_the_alias_of_a_key_is_where_callers_give_it() -> None:
    plain = EntityKeys("view", {"airport": ValueType.STRING})
    aliased = EntityKeys("view", {"airport": ValueType.STRING}, {"airport": "origin"})
    assert aliased.columns == ["origin"]
    assert aliased.encode({"origin": ["JFK"]}) == plain.encode({"airport": ["JFK"]})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ValueType.INT64, 1.0),
        (ValueType.INT64, True),
        (ValueType.INT64, "1"),
        (ValueType.INT64, np.bool_(True)),
        (ValueType.INT64, 2**63),
        (ValueType.INT32, 2**31),
        (ValueType.STRING, 1),
        (ValueType.STRING, b"x"),
        (ValueType.BYTES, "x"),
    ],
)
def test_a_key_that_would_have_to_be_converted_is_refused(kind: ValueType, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="'a'"):
        EntityKeys("view", {"a": kind}).encode({"a": [value]})


def test_an_absent_key_column_names_what_is_needed() -> None:
    with pytest.raises(InvalidRequest, match=r"'b' is not in the request. Given: a. Send a, b"):
        EntityKeys("view", {"a": ValueType.INT64, "b": ValueType.INT64}).encode({"a": [1]})


def test_a_key_type_feast_cannot_encode_is_refused_at_once() -> None:
    with pytest.raises(WrongColumns, match="of type DOUBLE"):
        EntityKeys("view", {"a": ValueType.DOUBLE})


def test_a_frame_without_the_key_is_refused() -> None:
    with pytest.raises(WrongColumns, match="'a' is not among"):
        EntityKeys("view", {"a": ValueType.INT64}).encode_frame(pl.DataFrame({"b": [1]}))
