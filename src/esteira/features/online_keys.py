"""Entity keys for online look-ups: strict about types, encoded byte for byte as Feast encodes them.

Feast turns 1.5, True and "1" into the key 1 and answers for another entity; here each is refused.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import polars as pl
from feast.infra.key_encoding_utils import serialize_entity_key_prefix
from feast.value_type import ValueType

from esteira.errors import InvalidRequest, WrongColumns

_INTEGERS: Mapping[ValueType, struct.Struct] = {
    ValueType.INT32: struct.Struct("<i"),
    ValueType.INT64: struct.Struct("<q"),
}
_TEXTS: Mapping[ValueType, type] = {ValueType.STRING: str, ValueType.BYTES: bytes}

EncodedColumns = dict[tuple[str, ValueType], list[bytes | None]]
"""(column, type) -> its values as parts of keys."""


def check_key(name: str, kind: ValueType, value: Any) -> None:
    """Raise InvalidRequest unless ``value`` is a key of the declared type as it stands; nothing is converted."""
    if kind in _INTEGERS:
        fits = isinstance(value, Integral) and not isinstance(value, bool)
    elif kind in _TEXTS:
        fits = isinstance(value, _TEXTS[kind])
    else:
        return
    if not fits:
        raise InvalidRequest(
            f"Entity key {name!r} cannot be {value!r} ({type(value).__name__}): the entity is declared {kind.name}. "
            "Send the key in its own type; nothing is converted, because another entity would answer."
        )


@dataclass(frozen=True)
class EntityKeys:
    """The join keys of a view, by name and type.

    ``aliases`` says under which column a caller gives a key, where that differs from its name (Feast's join key map).
    """

    view: str
    types: Mapping[str, ValueType]
    aliases: Mapping[str, str] = field(default_factory=dict)
    _prefix: bytes = field(init=False, repr=False, compare=False)
    _ordered: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile what all keys of the view share."""
        for name, kind in self.types.items():
            if kind not in _INTEGERS and kind not in _TEXTS:
                raise WrongColumns(
                    f"View {self.view!r} has the entity key {name!r} of type {kind.name}. "
                    "Expected INT32, INT64, STRING or BYTES: declare the entity with one of them."
                )
        names = sorted(self.types)
        prefix = serialize_entity_key_prefix(names, entity_key_serialization_version=3)
        object.__setattr__(self, "_prefix", prefix)
        object.__setattr__(self, "_ordered", tuple((name, self.aliases.get(name, name)) for name in names))

    @property
    def columns(self) -> list[str]:
        """The columns a caller gives, in the encoded order."""
        return [column for _, column in self._ordered]

    def encode(self, rows: Mapping[str, Sequence[Any]], encoded: EncodedColumns | None = None) -> list[bytes | None]:
        """The encoded key of each row; None where a part of the key is None.

        ``encoded`` remembers columns of ``rows`` between the views of one read, which share most of them.

        Raises:
            InvalidRequest: a key column is absent, or a value is not of the declared type or out of its range.
        """
        known: EncodedColumns = {} if encoded is None else encoded
        parts: list[list[bytes | None]] = []
        for name, column in self._ordered:
            if column not in rows:
                raise InvalidRequest(
                    f"Cannot look up view {self.view!r}: the entity key {column!r} is not in the request. "
                    f"Given: {', '.join(rows) or 'nothing'}. Send {', '.join(self.columns)}."
                )
            kind = self.types[name]
            part = known.get((column, kind))
            if part is None:
                part = known[column, kind] = self._encode_column(column, kind, rows[column])
            parts.append(part)
        prefix = self._prefix
        if len(parts) == 1:
            return [None if part is None else prefix + part for part in parts[0]]
        return [
            None if None in row else prefix + b"".join(part for part in row if part is not None)
            for row in zip(*parts, strict=True)
        ]

    def encode_frame(self, frame: pl.DataFrame) -> list[bytes]:
        """The encoded key of each row of a frame to be written.

        Raises:
            WrongColumns: a key column is absent, of another type, or null somewhere.
        """
        for name, kind in self.types.items():
            if name not in frame.columns:
                raise WrongColumns(
                    f"Cannot write view {self.view!r}: the entity key {name!r} is not among the frame's columns "
                    f"{', '.join(frame.columns)}. Add it."
                )
            dtype = frame.schema[name]
            fits = (
                dtype.is_integer()
                if kind in _INTEGERS
                else dtype == (pl.String if kind is ValueType.STRING else pl.Binary)
            )
            if not fits:
                raise WrongColumns(
                    f"Cannot write view {self.view!r}: the entity key {name!r} is {dtype} in the frame, "
                    f"the entity is declared {kind.name}. Cast the column to that type."
                )
            if missing := frame[name].null_count():
                raise WrongColumns(
                    f"Cannot write view {self.view!r}: {missing} of {frame.height} rows have no entity key {name!r}. "
                    "Drop or complete them: a row without key can never be read."
                )
        return [key for key in self.encode({self.aliases.get(n, n): frame[n].to_list() for n in self.types}) if key]

    def _encode_column(self, column: str, kind: ValueType, values: Sequence[Any]) -> list[bytes | None]:
        plain = int if kind in _INTEGERS else _TEXTS[kind]
        if set(map(type, values)) - {plain, type(None)}:
            for value in values:
                if value is not None:
                    check_key(column, kind, value)
        if kind in _INTEGERS:
            packer = _INTEGERS[kind]
            head = struct.pack("<II", kind.value, packer.size)
            try:
                return [None if value is None else head + packer.pack(value) for value in values]
            except struct.error as error:
                raise InvalidRequest(
                    f"Entity key {column!r} does not fit {kind.name}: {error}. Send keys within its range."
                ) from error
        texts = [value.encode() if isinstance(value, str) else value for value in values]
        return [None if text is None else struct.pack("<II", kind.value, len(text)) + text for text in texts]
