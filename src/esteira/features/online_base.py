"""The freshness contract of an online store, whatever database is behind it.

The newest event of an entity stays, whatever the order of writes; a row is written whole; and a read at ``as_of``
sees a row only if it was true, known and not expired then: exactly what the offline join sees at that moment. The
store holds one row per entity and view, so a newest row that is not yet true or known hides the one before it.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
from feast import utils
from feast.infra.key_encoding_utils import deserialize_entity_key, serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
from feast.protos.feast.types.Value_pb2 import Value as ValueProto
from feast.value_type import ValueType

from esteira.contract import utc
from esteira.features.online_keys import EncodedColumns, check_key
from esteira.features.online_layout import RowLayout, from_microseconds, to_microseconds
from esteira.features.online_rows import ViewRows, assemble, messages
from esteira.features.online_view import OnlineView, Stored, checked, online_view, row_layout, table_name

Row = tuple[bytes, int, int, bytes]
"""A row to write: entity key, event time, knowledge time, payload."""
MessageRow = tuple[datetime | None, dict[str, ValueProto] | None]

_moment: ContextVar[datetime | None] = ContextVar("reading_at", default=None)


@contextmanager
def reading_at(as_of: datetime) -> Iterator[None]:
    """Let every read through Feast's own calls inside the block happen at ``as_of`` instead of the wall clock.

    Raises:
        InputError: ``as_of`` has no time zone.
    """
    token = _moment.set(utc(as_of))
    try:
        yield
    finally:
        _moment.reset(token)


class FreshOnlineStore(OnlineStore):  # type: ignore[misc]
    """A Feast online store that keeps the freshness contract; a database is added by six short methods."""

    _versioned_read_supported = True

    @abstractmethod
    def _fetch(self, config: Any, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[dict[bytes, Stored]]:
        """For each (table, entity keys) the rows that exist; one statement or round trip for all."""

    @abstractmethod
    def _keep(self, config: Any, table: str, layout: RowLayout, rows: Sequence[Row]) -> int:
        """Write the rows that are newer than what is there, all or none; returns how many were."""

    @abstractmethod
    def _known_layout(self, config: Any, table: str, signature: bytes) -> RowLayout:
        """The layout an earlier definition of a view wrote with."""

    @abstractmethod
    def _is_empty(self, config: Any, table: str) -> bool:
        """Whether a table holds no row, or does not exist."""

    @abstractmethod
    def _keys(self, config: Any, table: str) -> Iterator[bytes]:
        """The keys of all rows of a table."""

    @abstractmethod
    def _erase(self, config: Any, table: str, keys: Sequence[bytes]) -> None:
        """Remove these rows, and whatever the database keeps of rows it removed before."""

    @abstractmethod
    def _drop(self, config: Any, tables: Sequence[str]) -> None:
        """Remove everything these tables hold."""

    # The fast paths.

    def is_empty(self, config: Any, view: Any) -> bool:
        """Whether nothing is kept of ``view``: never written, or lost (a file removed, a Redis flushed)."""
        return self._is_empty(config, online_view(config, view).table)

    def write_frame(self, config: Any, view: Any, frame: pl.DataFrame) -> int:
        """Write the newest row of each entity in ``frame``; returns how many rows were newer than the stored ones.

        ``frame`` has the view's entity keys, its features and the source's timestamp columns.

        Raises:
            WrongColumns: a column is absent or of another type than the view declares.
        """
        target = online_view(config, view)
        whole = checked(target, frame)
        if whole.is_empty():
            return 0
        created = target.created_column or target.event_column
        newest = whole.sort(target.event_column, created, maintain_order=True).unique(
            list(target.keys.types), keep="last"
        )
        keys = target.keys.encode_frame(newest)
        events = newest[target.event_column].dt.epoch("us").to_list()
        knowns = newest[created].dt.epoch("us").to_list()
        payloads = target.layout.pack(newest)
        return self._keep(config, target.table, target.layout, list(zip(keys, events, knowns, payloads, strict=True)))

    def read_views(
        self, config: Any, reads: Sequence[tuple[OnlineView, Mapping[str, Sequence[Any]]]], as_of: datetime
    ) -> list[ViewRows]:
        """Read many views for many entities at once: for each (view, key columns) what was visible at ``as_of``.

        Rows of a read are answered in order, one each; a key that is None or unknown finds nothing.

        Raises:
            InvalidRequest: a key column is absent or holds a value of another type.
        """
        moment = to_microseconds(utc(as_of))
        encoded: dict[int, EncodedColumns] = {}  # per caller's rows, which the views of a read share
        keyed = [view.keys.encode(rows, encoded.setdefault(id(rows), {})) for view, rows in reads]
        wanted = [
            (view.table, list(dict.fromkeys(key for key in keys if key is not None)))
            for (view, _), keys in zip(reads, keyed, strict=True)
        ]
        found = self._fetch(config, wanted)
        return [
            assemble(view, keys, rows, moment, partial(self._known_layout, config, view.table))
            for (view, _), keys, rows in zip(reads, keyed, found, strict=True)
        ]

    def erase_entities(self, config: Any, view: Any, values: Mapping[str, Collection[Any]]) -> int:
        """Remove for good every row of ``view`` whose key has one of ``values`` (key column -> values); how many."""
        target = online_view(config, view)
        if len(target.keys.types) == 1:
            (name,) = target.keys.types
            encoded = target.keys.encode({target.keys.columns[0]: list(values[name])})
            doomed = list(self._fetch(config, [(target.table, [key for key in encoded if key is not None])])[0])
        else:
            doomed = [key for key in self._keys(config, target.table) if _names_one(key, values)]
        self._erase(config, target.table, doomed)
        return len(doomed)

    # Feast's interface.

    def online_write_batch(
        self,
        config: Any,
        table: Any,
        data: list[tuple[EntityKeyProto, dict[str, ValueProto], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows as Feast hands them over; a moment without time zone is UTC, as Feast documents."""
        layout = row_layout(table)
        rows = []
        for key, values, event, created in data:
            known = event if created is None else created
            times = (to_microseconds(event), to_microseconds(known))
            rows.append((_encoded(key), *times, layout.pack_messages(values)))
        if rows:
            self._keep(config, table_name(config, table), layout, rows)
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: Any,
        table: Any,
        entity_keys: list[EntityKeyProto],
        requested_features: list[str] | None = None,
    ) -> list[MessageRow]:
        """Read one view as Feast asks for it, at the moment of ``reading_at`` or now."""
        return self._read_messages(config, [(table, entity_keys)])[0]

    async def online_read_async(
        self, config: Any, table: Any, entity_keys: list[EntityKeyProto], requested_features: list[str] | None = None
    ) -> list[MessageRow]:
        """As ``online_read``, off the event loop."""
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    def update(
        self,
        config: Any,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Make room for the views that are kept, remove the others."""
        for view in tables_to_keep:
            self._keep(config, table_name(config, view), row_layout(view), [])
        self._drop(config, [table_name(config, view) for view in tables_to_delete])

    def teardown(self, config: Any, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Remove the rows of ``tables``; another project in the same database keeps its own."""
        self._drop(config, [table_name(config, view) for view in tables])

    def get_online_features(
        self, config: Any, features: Any, entity_rows: Any, registry: Any, project: str, *args: Any, **options: Any
    ) -> Any:
        """Feast's read, after refusing entity keys that are not of their declared type."""
        _check_keys(features, entity_rows, registry, project)
        return super().get_online_features(config, features, entity_rows, registry, project, *args, **options)

    async def get_online_features_async(
        self, config: Any, features: Any, entity_rows: Any, registry: Any, project: str, *args: Any, **options: Any
    ) -> Any:
        """As ``get_online_features``, off the event loop."""
        _check_keys(features, entity_rows, registry, project)
        return await super().get_online_features_async(
            config, features, entity_rows, registry, project, *args, **options
        )

    def _read_features_per_fv(
        self,
        config: Any,
        grouped_refs: list[Any],
        join_key_values: dict[str, Any],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: Any,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """All views of a request in one read; Feast's own loop reads one after another."""
        found = [
            utils._get_unique_entities(view, join_key_values, entity_name_to_join_key_map) for view, _ in grouped_refs
        ]
        asked = [
            (view, utils._get_entity_key_protos(entities))
            for (view, _), (entities, _, _) in zip(grouped_refs, found, strict=True)
        ]
        read = self._read_messages(config, asked)
        for (view, names), (_, places, length), rows in zip(grouped_refs, found, read, strict=True):
            utils._populate_response_from_feature_data(
                names,
                rows,
                places,
                online_features_response,
                full_feature_names,
                view,
                length,
                include_feature_view_version_metadata,
            )

    async def _read_features_per_fv_async(self, *args: Any, **options: Any) -> None:
        await asyncio.to_thread(self._read_features_per_fv, *args, **options)

    def _read_messages(self, config: Any, asked: Sequence[tuple[Any, list[EntityKeyProto]]]) -> list[list[MessageRow]]:
        moment = to_microseconds(_moment.get() or datetime.now(UTC))
        keyed = [[_encoded(key) for key in keys] for _, keys in asked]
        wanted = [(table_name(config, view), keys) for (view, _), keys in zip(asked, keyed, strict=True)]
        answers = []
        for (view, _), keys, found in zip(asked, keyed, self._fetch(config, wanted), strict=True):
            target = online_view(config, view)
            writer = partial(self._known_layout, config, target.table)
            rows: list[MessageRow] = []
            for key in keys:
                stored = found.get(key)
                if stored is None or not target.shows(stored, moment):
                    rows.append((None, None))
                else:
                    rows.append((from_microseconds(stored[0]), messages(target, stored[2], writer)))
            answers.append(rows)
        return answers


def _names_one(key: bytes, values: Mapping[str, Collection[Any]]) -> bool:
    decoded = deserialize_entity_key(key, entity_key_serialization_version=3)
    return any(
        getattr(part, part.WhichOneof("val")) in values.get(name, ())
        for name, part in zip(decoded.join_keys, decoded.entity_values, strict=True)
    )


def _encoded(key: EntityKeyProto) -> bytes:
    return bytes(serialize_entity_key(key, entity_key_serialization_version=3))


def _check_keys(features: Any, entity_rows: Any, registry: Any, project: str) -> None:
    """Refuse keys that Feast would silently convert. Values already given as messages carry their type."""
    types: Mapping[str, ValueType] = utils._get_cached_request_context(registry, project, features, False)[3]
    rows = entity_rows if isinstance(entity_rows, list) else [entity_rows]
    for row in rows:
        for name, given in row.items():
            if name not in types:
                continue
            values = [given] if isinstance(entity_rows, list) else given
            for value in values if isinstance(values, Sequence) else ():
                if not isinstance(value, ValueProto):
                    check_key(name, types[name], value)
