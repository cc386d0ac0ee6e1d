"""From stored rows to answers: which of them show at a moment, and their values in the order that was asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feast.protos.feast.types.Value_pb2 import Value as ValueProto

from esteira.features.online_layout import SIGNATURE_BYTES, RowLayout, from_microseconds
from esteira.features.online_view import OnlineView, Stored

LayoutOf = Callable[[bytes], RowLayout]
"""Signature -> the layout by which an earlier definition of the view wrote. Raises FeatureError if unknown."""


@dataclass(frozen=True)
class ViewRows:
    """What one read found in one view: a list of n values per feature, and each row's two times; missing is None."""

    values: dict[str, list[Any]]
    event_times: list[datetime | None]
    created_times: list[datetime | None]


def assemble(
    view: OnlineView, keys: Sequence[bytes | None], found: dict[bytes, Stored], moment: int, layout_of: LayoutOf
) -> ViewRows:
    """One answer per key, in order; nothing where no row was ``found`` or the row does not show at ``moment``."""
    if len(keys) == 1:
        return _assemble_one(view, found.get(keys[0]) if keys[0] is not None else None, moment, layout_of)
    unique = keys if len(found) == len(keys) else dict.fromkeys(keys)
    stored = [(key, found[key]) for key in unique if key in found]
    shown = {key: row for key, row in stored if view.shows(row, moment)}
    columns = _decode(view.layout, [payload for _, _, payload in shown.values()], layout_of)
    events = _moments([event for event, _, _ in shown.values()])
    knowns = _moments([known for _, known, _ in shown.values()])
    if list(shown) != keys:
        place = {key: index for index, key in enumerate(shown)}
        take = [place.get(key, -1) if key is not None else -1 for key in keys]  # the last place holds None
        columns = [_taken(column, take) for column in columns]
        events, knowns = _taken(events, take), _taken(knowns, take)
    return ViewRows(dict(zip(view.layout.names, columns, strict=True)), events, knowns)


def _assemble_one(view: OnlineView, stored: Stored | None, moment: int, layout_of: LayoutOf) -> ViewRows:
    names = view.layout.names
    if stored is None or not view.shows(stored, moment):
        return ViewRows({name: [None] for name in names}, [None], [None])
    event, known, payload = stored
    if payload[:SIGNATURE_BYTES] == view.layout.signature:
        columns = [[value] for value in view.layout.unpack_one(payload)]
    else:
        columns = _decode(view.layout, [payload], layout_of)
    return ViewRows(dict(zip(names, columns, strict=True)), [from_microseconds(event)], [from_microseconds(known)])


def messages(view: OnlineView, payload: bytes, layout_of: LayoutOf) -> dict[str, ValueProto]:
    """A row as Feast's value messages, whichever definition of the view wrote it."""
    signature, layout = payload[:SIGNATURE_BYTES], view.layout
    if signature == layout.signature:
        return layout.unpack_messages(payload)
    writer = layout_of(signature)
    held = set(zip(writer.names, writer.types, strict=True))
    values = writer.unpack_messages(payload)
    return {
        name: values[name] if (name, kind) in held else ValueProto()
        for name, kind in zip(layout.names, layout.types, strict=True)
    }


def _decode(layout: RowLayout, payloads: list[bytes], layout_of: LayoutOf) -> list[list[Any]]:
    """The payloads' values as columns of ``layout``, each read by the layout that wrote it.

    A feature that the writer lacked, or had in another type, is missing.
    """
    signatures = {payload[:SIGNATURE_BYTES] for payload in payloads}
    if not signatures - {layout.signature}:
        return layout.unpack(payloads)
    columns: list[list[Any]] = [[None] * len(payloads) for _ in layout.names]
    for signature in signatures:
        rows = [row for row, payload in enumerate(payloads) if payload[:SIGNATURE_BYTES] == signature]
        writer = layout if signature == layout.signature else layout_of(signature)
        values = writer.unpack([payloads[row] for row in rows])
        held = dict(zip(zip(writer.names, writer.types, strict=True), values, strict=True))
        for column, named in zip(columns, zip(layout.names, layout.types, strict=True), strict=True):
            for row, value in zip(rows, held.get(named, [None] * len(rows)), strict=True):
                column[row] = value
    return columns


def _moments(values: list[int]) -> list[datetime | None]:
    # Many rows of a view share their times, and making a datetime is the dearest step of a read.
    made = {value: from_microseconds(value) for value in set(values)}
    return [made[value] for value in values]


def _taken(column: list[Any], take: list[int]) -> list[Any]:
    padded = [*column, None]
    return [padded[index] for index in take]
