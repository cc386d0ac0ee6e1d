import math
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.contract import MOMENT
from esteira.errors import WrongColumns
from esteira.features.online_layout import EPOCH, RowLayout, from_microseconds, to_microseconds

MOMENTS = st.datetimes(datetime(1800, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
KINDS: dict[ValueType, tuple[pl.DataType, st.SearchStrategy[Any]]] = {
    ValueType.INT32: (pl.Int32(), st.integers(-(2**31), 2**31 - 1)),
    ValueType.INT64: (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    ValueType.FLOAT: (pl.Float32(), st.floats(width=32, allow_nan=False)),
    ValueType.DOUBLE: (pl.Float64(), st.floats(allow_nan=False)),
    ValueType.BOOL: (pl.Boolean(), st.booleans()),
    ValueType.UNIX_TIMESTAMP: (MOMENT, MOMENTS),
    ValueType.STRING: (pl.String(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    ValueType.BYTES: (pl.Binary(), st.binary(min_size=1, max_size=8)),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[RowLayout, dict[str, list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=6)) * draw(st.sampled_from([1, 1, 30]))
    rows = draw(st.integers(1, 4))
    layout = RowLayout(tuple(f"f{place}" for place in range(len(kinds))), tuple(kinds))
    pools = {kind: draw(st.lists(st.none() | KINDS[kind][1], min_size=5, max_size=5)) for kind in set(kinds)}
    columns = {
        name: [pools[kind][(place + 3 * row) % 5] for row in range(rows)]
        for place, (name, kind) in enumerate(zip(layout.names, kinds, strict=True))
    }
    return layout, columns


@settings(max_examples=150, deadline=None)
@given(tables())
def test_what_was_packed_is_unpacked(table: tuple[RowLayout, dict[str, list[Any]]]) -> None:
    layout, columns = table
    frame = pl.DataFrame(
        {
            name: pl.Series(name, columns[name], KINDS[kind][0])
            for name, kind in zip(layout.names, layout.types, strict=True)
        }
    )
    payloads = layout.pack(frame)
    assert layout.unpack(payloads) == list(columns.values())
    assert RowLayout.parse(layout.description).unpack(payloads) == list(columns.values())
    assert [list(row) for row in zip(*columns.values(), strict=True)] == [layout.unpack_one(each) for each in payloads]


@settings(max_examples=100, deadline=None)
@given(tables())
def test_feasts_messages_go_the_same_way(table: tuple[RowLayout, dict[str, list[Any]]]) -> None:
    layout, columns = table
    typed = zip(layout.names, layout.types, strict=True)
    messages = {name: python_values_to_proto_values(columns[name], kind) for name, kind in typed}
    for row in range(len(columns["f0"])):
        given_row = {name: messages[name][row] for name in layout.names}
        assert layout.unpack_messages(layout.pack_messages(given_row)) == given_row


def test_nan_is_missing_in_frames_and_messages() -> None:
    layout = RowLayout(("a",), (ValueType.DOUBLE,))
    assert layout.unpack(layout.pack(pl.DataFrame({"a": [math.nan, 1.0]}))) == [[None, 1.0]]
    assert layout.unpack([layout.pack_messages({"a": Value(double_val=math.nan)})]) == [[None]]


def test_an_absent_message_is_missing() -> None:
    layout = RowLayout(("a", "b"), (ValueType.INT64, ValueType.STRING))
    assert layout.unpack([layout.pack_messages({})]) == [[None], [None]]


def test_a_message_of_another_type_is_refused() -> None:
    layout = RowLayout(("a",), (ValueType.INT64,))
    with pytest.raises(WrongColumns, match="holds double_val, the view declares INT64"):
        layout.pack_messages({"a": Value(double_val=1.5)})


def test_other_names_or_types_have_another_signature() -> None:
    layouts = [
        RowLayout(("a", "b"), (ValueType.INT64, ValueType.INT64)),
        RowLayout(("b", "a"), (ValueType.INT64, ValueType.INT64)),
        RowLayout(("a", "b"), (ValueType.INT64, ValueType.DOUBLE)),
    ]
    assert len({layout.signature for layout in layouts}) == 3


def test_a_view_without_features_still_has_rows() -> None:
    layout = RowLayout((), ())
    assert layout.unpack([layout.pack_messages({})]) == []


@given(MOMENTS)
def test_moments_are_exact_to_the_microsecond(moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment
    assert to_microseconds(moment.replace(tzinfo=None)) == to_microseconds(moment)
    assert to_microseconds(moment + timedelta(microseconds=1)) == to_microseconds(moment) + 1
    assert to_microseconds(EPOCH) == 0
