"""How one view's row lies in an online store: entity keys and feature values as bytes, exact both ways.

A payload is the layout's signature (4 bytes), one bit per number that is missing, the numbers at fixed places, and
behind them everything that has no fixed size as Feast's own value messages. A hundred rows are read in one call.
"""

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
from feast.protos.feast.types.Value_pb2 import RepeatedValue
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.type_map import (
    NULL_TIMESTAMP_INT_VALUE,
    VALUE_TYPE_TO_PROTO_VALUE_MAP,
    feast_value_type_to_python_type,
    python_values_to_proto_values,
)
from feast.value_type import ValueType

from esteira.contract import MOMENT
from esteira.errors import WrongColumns

SIGNATURE_BYTES = 4
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WORD = 64

_FIXED: Mapping[ValueType, tuple[str, pl.DataType]] = {
    ValueType.INT32: ("i", pl.Int32()),
    ValueType.INT64: ("q", pl.Int64()),
    ValueType.FLOAT: ("f", pl.Float32()),
    ValueType.DOUBLE: ("d", pl.Float64()),
    ValueType.BOOL: ("?", pl.Boolean()),
    # Feast's own message has whole seconds only; the payload keeps the microseconds that the offline path has.
    ValueType.UNIX_TIMESTAMP: ("q", MOMENT),
}


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exact; a moment without time zone is UTC, as everywhere in Feast."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The aware UTC moment ``value`` microseconds after 1970, exact."""
    return EPOCH + timedelta(0, 0, value)


@dataclass(frozen=True)
class RowLayout:
    """The places of a view's features in a payload.

    ``names`` and ``types`` are the view's features in order. Two layouts with the same features have the same
    ``signature``, so a row that an earlier definition of the view wrote is recognised and read by that definition.
    """

    names: tuple[str, ...]
    types: tuple[ValueType, ...]
    signature: bytes = field(init=False)
    _fixed: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _free: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _words: int = field(init=False, repr=False, compare=False)
    _struct: struct.Struct = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the places."""
        fixed = tuple(place for place, kind in enumerate(self.types) if kind in _FIXED)
        words = -(-len(fixed) // _WORD)
        codes = "".join(_FIXED[self.types[place]][0] for place in fixed)
        put = object.__setattr__
        put(self, "signature", zlib.crc32(self.description.encode()).to_bytes(SIGNATURE_BYTES, "little"))
        put(self, "_fixed", fixed)
        put(self, "_free", tuple(place for place, kind in enumerate(self.types) if kind not in _FIXED))
        put(self, "_words", words)
        put(self, "_struct", struct.Struct(f"<{SIGNATURE_BYTES}s{'Q' * words}{codes}"))

    @property
    def description(self) -> str:
        """The layout as text, from which ``parse`` makes it again."""
        return json.dumps([[name, kind.name] for name, kind in zip(self.names, self.types, strict=True)])

    @classmethod
    def parse(cls, description: str) -> "RowLayout":
        """The layout that ``description`` describes."""
        pairs = json.loads(description)
        return cls(tuple(name for name, _ in pairs), tuple(ValueType[kind] for _, kind in pairs))

    @property
    def dtypes(self) -> dict[str, pl.DataType | None]:
        """Feature name -> the Polars type its column must have; None where Feast's conversion decides."""
        free: dict[ValueType, pl.DataType] = {ValueType.STRING: pl.String(), ValueType.BYTES: pl.Binary()}
        return {
            name: _FIXED[kind][1] if kind in _FIXED else free.get(kind)
            for name, kind in zip(self.names, self.types, strict=True)
        }

    def pack(self, frame: pl.DataFrame) -> list[bytes]:
        """One payload per row of ``frame``, whose columns have the types of ``dtypes``; null and NaN are missing."""
        columns = [pl.col(self.names[place]) for place in self._fixed]
        columns = [
            column.fill_nan(None) if frame.schema[self.names[place]].is_float() else column
            for column, place in zip(columns, self._fixed, strict=True)
        ]
        bounds = [*range(0, len(columns), _WORD), len(columns)] if columns else []
        words = [
            pl.sum_horizontal(
                column.is_null().cast(pl.UInt64) * pl.lit(1 << bit, dtype=pl.UInt64)
                for bit, column in enumerate(columns[start:stop])
            ).alias(f"__missing_{start}")
            for start, stop in pairwise(bounds)
        ]
        values = [
            (column.dt.epoch("us") if self.types[place] is ValueType.UNIX_TIMESTAMP else column)
            .fill_null(False if self.types[place] is ValueType.BOOL else 0)
            .alias(self.names[place])
            for column, place in zip(columns, self._fixed, strict=True)
        ]
        if columns:
            rows = frame.select(*words, *values).iter_rows()
            heads = [self._struct.pack(self.signature, *row) for row in rows]
        else:
            heads = [self.signature] * frame.height
        if not self._free:
            return heads
        messages = [
            python_values_to_proto_values(frame[self.names[place]].to_list(), self.types[place]) for place in self._free
        ]
        tails = zip(*messages, strict=True)
        return [head + RepeatedValue(val=tail).SerializeToString() for head, tail in zip(heads, tails, strict=True)]

    def pack_messages(self, values: Mapping[str, ValueProto]) -> bytes:
        """One payload from Feast's value messages; a feature that is absent, null or NaN is missing.

        Raises:
            WrongColumns: a message holds another type than the view declares.
        """
        words = [0] * self._words
        numbers: list[Any] = []
        for bit, place in enumerate(self._fixed):
            name, kind = self.names[place], self.types[place]
            message = values.get(name)
            held = message.WhichOneof("val") if message is not None else None
            value = getattr(message, held) if held else None
            if held and held != VALUE_TYPE_TO_PROTO_VALUE_MAP[kind]:
                raise WrongColumns(
                    f"Cannot write feature {name!r}: the row holds {held}, the view declares {kind.name}. "
                    "Convert the value, or change the view's schema and apply it."
                )
            if value is not None and kind is ValueType.UNIX_TIMESTAMP:
                value = None if value == NULL_TIMESTAMP_INT_VALUE else value * 1_000_000
            if isinstance(value, float) and math.isnan(value):
                value = None
            if value is None:
                words[bit // _WORD] |= 1 << (bit % _WORD)
            numbers.append(0 if value is None else value)
        head = self._struct.pack(self.signature, *words, *numbers)
        if not self._free:
            return head
        tail = [values.get(self.names[place]) or ValueProto() for place in self._free]
        return head + bytes(RepeatedValue(val=tail).SerializeToString())

    def unpack(self, payloads: Sequence[bytes]) -> list[list[Any]]:
        """One list of native values per feature, in the layout's order; missing is None."""
        columns: list[list[Any]] = [[] for _ in self.names]
        for place, numbers in zip(self._fixed, self._numbers(payloads), strict=True):
            if self.types[place] is ValueType.UNIX_TIMESTAMP:
                columns[place] = [None if value is None else from_microseconds(value) for value in numbers]
            else:
                columns[place] = numbers
        if self._free and payloads:
            for place, messages in zip(self._free, zip(*self._tails(payloads), strict=True), strict=True):
                kind = self.types[place]
                if kind is ValueType.STRING:
                    columns[place] = [each.string_val if each.HasField("string_val") else None for each in messages]
                else:
                    columns[place] = [feast_value_type_to_python_type(each, kind) for each in messages]
        return columns

    def unpack_one(self, payload: bytes) -> list[Any]:
        """As ``unpack`` for one payload, a native value per feature: most requests are about one entity."""
        read = self._struct.unpack_from(payload)
        words, numbers = read[1 : 1 + self._words], read[1 + self._words :]
        if any(words):
            numbers = tuple(
                None if words[bit // _WORD] >> (bit % _WORD) & 1 else value for bit, value in enumerate(numbers)
            )
        values: list[Any] = [None] * len(self.names)
        for place, value in zip(self._fixed, numbers, strict=True):
            moment = self.types[place] is ValueType.UNIX_TIMESTAMP and value is not None
            values[place] = from_microseconds(value) if moment else value
        for place, message in zip(self._free, *self._tails([payload]), strict=True) if self._free else ():
            kind = self.types[place]
            if kind is ValueType.STRING:
                values[place] = message.string_val if message.HasField("string_val") else None
            else:
                values[place] = feast_value_type_to_python_type(message, kind)
        return values

    def unpack_messages(self, payload: bytes) -> dict[str, ValueProto]:
        """The row as Feast's value messages, name -> message; a missing value is an empty message."""
        found: dict[str, ValueProto] = {}
        for place, (value,) in zip(self._fixed, self._numbers([payload]), strict=True):
            kind = self.types[place]
            if value is None:
                found[self.names[place]] = ValueProto()
            else:
                whole = value // 1_000_000 if kind is ValueType.UNIX_TIMESTAMP else value
                found[self.names[place]] = ValueProto(**{VALUE_TYPE_TO_PROTO_VALUE_MAP[kind]: whole})
        for place, message in zip(self._free, *self._tails([payload]), strict=True):
            found[self.names[place]] = message
        return found

    def _numbers(self, payloads: Sequence[bytes]) -> list[list[Any]]:
        """The fixed places as columns, None where a missing bit is set; timestamps still as microseconds."""
        if not payloads or not self._fixed:
            return [[] for _ in self._fixed]
        size = self._struct.size
        heads = [payload[:size] for payload in payloads] if self._free else payloads
        columns = [list(column) for column in zip(*self._struct.iter_unpack(b"".join(heads)), strict=True)]
        words, numbers = columns[1 : 1 + self._words], columns[1 + self._words :]
        for start, word in zip(range(0, len(numbers), _WORD), words, strict=True):
            for row, bits in enumerate(word):
                left = bits
                while left:
                    lowest = left & -left
                    numbers[start + lowest.bit_length() - 1][row] = None
                    left ^= lowest
        return numbers

    def _tails(self, payloads: Sequence[bytes]) -> list[Sequence[ValueProto]]:
        size = self._struct.size
        return [RepeatedValue.FromString(payload[size:]).val for payload in payloads] if self._free else [()]
