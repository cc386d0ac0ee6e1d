"""A fresh online store in one SQLite file: readers never wait for a writer, one statement reads many views.

Use it in any Feast project: ``online_store: {type: esteira.features.online_store.SqliteFreshOnlineStore, path: …}``.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from feast.repo_config import FeastConfigBaseModel
from pydantic import StrictStr

from esteira.errors import FeatureError
from esteira.features.online_base import FreshOnlineStore, Row
from esteira.features.online_layout import RowLayout
from esteira.features.online_view import Stored
from esteira.features.sqlite_pages import wipe_deleted

_LAYOUTS = "esteira_layouts"
_PARAMETERS = 30_000
"""Keys per statement: SQLite's own limit is 32,766 bound values."""
_MAPPED = 256 * 1024 * 1024
"""Bytes of the file read as memory rather than by a system call per page."""
_PATIENCE = 30.0
"""Seconds a writer waits for another writer; readers do not wait at all."""


class SqliteFreshOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings of the SQLite store."""

    type: StrictStr = "esteira.features.online_store.SqliteFreshOnlineStore"
    path: StrictStr = "data/online.db"
    """The file; a relative path starts at the feature repository."""


class _Connections(threading.local):
    def __init__(self) -> None:
        self.by_path: dict[tuple[int, Path], tuple[int, sqlite3.Connection]] = {}
        """Process and path -> the file's number (inode) and the connection to it."""


class SqliteFreshOnlineStore(FreshOnlineStore):
    """One table per view: entity key, the two times in microseconds, and the whole row as one payload."""

    def __init__(self) -> None:
        """Connections are opened on first use, one per thread."""
        self._held = _Connections()

    def _connection(self, config: Any) -> sqlite3.Connection:
        path = Path(config.online_store.path)
        if not path.is_absolute() and config.repo_path:
            path = Path(config.repo_path) / path
        connections = self._held.by_path
        mine = (os.getpid(), path)  # a connection must not cross a fork
        number, connection = connections.get(mine, (0, None))
        if connection is None or number != _number(path):  # a file removed or replaced lives on for who has it open
            if connection is not None:
                connection.close()
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            # Without WAL a bulk write stalls every reader, up to five seconds as measured.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA mmap_size={_MAPPED}")
            connections[mine] = (_number(path), connection)
        return connection

    def _fetch(self, config: Any, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[dict[bytes, Stored]]:
        found: list[dict[bytes, Stored]] = [{} for _ in wanted]
        pieces: list[str] = []
        values: list[bytes | None] = []
        for place, (table, keys) in enumerate(wanted):
            for start in range(0, len(keys), _PARAMETERS // 2):
                piece = keys[start : start + _PARAMETERS // 2]
                # A power of two of places, the rest NULL: few statement texts, which SQLite then need not parse again.
                width = 1 << (len(piece) - 1).bit_length()
                if len(values) + width > _PARAMETERS:
                    self._collect(config, pieces, values, found)
                    pieces, values = [], []
                pieces.append(
                    f"SELECT {place}, entity_key, event_us, created_us, payload FROM {_quoted(table)} "
                    f"WHERE entity_key IN (?{',?' * (width - 1)})"
                )
                values.extend((*piece, *[None] * (width - len(piece))))
        self._collect(config, pieces, values, found)
        return found

    def _collect(
        self, config: Any, pieces: list[str], values: list[bytes | None], found: list[dict[bytes, Stored]]
    ) -> None:
        if not pieces:
            return
        try:
            rows = self._connection(config).execute(" UNION ALL ".join(pieces), values).fetchall()
        except sqlite3.OperationalError as error:
            raise FeatureError(
                f"Cannot read online features from {config.online_store.path}: {error}. "
                "If a table is missing, its view has not been applied: run feast apply, then write features."
            ) from error
        for place, key, event, created, payload in rows:
            found[place][key] = (event, created, payload)

    def _keep(self, config: Any, table: str, layout: RowLayout, rows: Sequence[Row]) -> int:
        connection = self._connection(config)
        name = _quoted(table)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_LAYOUTS} (view TEXT, signature BLOB, description TEXT NOT NULL, "
                "PRIMARY KEY (view, signature))"
            )
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} (entity_key BLOB PRIMARY KEY, event_us INTEGER NOT NULL, "
                "created_us INTEGER NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID"
            )
            connection.execute(
                f"INSERT OR IGNORE INTO {_LAYOUTS} VALUES (?, ?, ?)", (table, layout.signature, layout.description)
            )
            before = connection.total_changes
            # The same event known at the same time again is a rewrite: the later write stays.
            connection.executemany(
                f"INSERT INTO {name} VALUES (?, ?, ?, ?) ON CONFLICT (entity_key) DO UPDATE SET "
                "event_us = excluded.event_us, created_us = excluded.created_us, payload = excluded.payload "
                "WHERE (excluded.event_us, excluded.created_us) >= (event_us, created_us)",
                rows,
            )
            kept = connection.total_changes - before
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise FeatureError(
                f"Cannot write online features of {table!r} to {config.online_store.path}: {error}. Nothing of this "
                "write was kept. Free space or wait for the other writer, then write again: repeating is safe."
            ) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return kept

    def _known_layout(self, config: Any, table: str, signature: bytes) -> RowLayout:
        row = (
            self._connection(config)
            .execute(f"SELECT description FROM {_LAYOUTS} WHERE view = ? AND signature = ?", (table, signature))
            .fetchone()
        )
        if row is None:
            raise FeatureError(
                f"Cannot read {table!r} in {config.online_store.path}: no layout {signature.hex()} is recorded. "
                "The file was altered by something else; write the views again."
            )
        return RowLayout.parse(row[0])

    def _is_empty(self, config: Any, table: str) -> bool:
        connection = self._connection(config)
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_named(table),)).fetchone():
            return True
        return connection.execute(f"SELECT 1 FROM {_quoted(table)} LIMIT 1").fetchone() is None

    def _keys(self, config: Any, table: str) -> Iterator[bytes]:
        for (key,) in self._connection(config).execute(f"SELECT entity_key FROM {_quoted(table)}"):
            yield key

    def _erase(self, config: Any, table: str, keys: Sequence[bytes]) -> None:
        connection = self._connection(config)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"DELETE FROM {_quoted(table)} WHERE entity_key = ?", ((key,) for key in keys))
        connection.execute("COMMIT")
        wipe_deleted(connection)

    def _drop(self, config: Any, tables: Sequence[str]) -> None:
        connection = self._connection(config)
        for table in tables:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_named(table),)).fetchone():
                connection.execute(f"DROP TABLE {_quoted(table)}")
                connection.execute(f"DELETE FROM {_LAYOUTS} WHERE view = ?", (table,))


def _number(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _named(table: str) -> str:
    # The prefix keeps clear of Feast's own tables, should a file have been its SQLite store before.
    return f"fresh_{table}"


def _quoted(table: str) -> str:
    name = _named(table).replace('"', '""')
    return f'"{name}"'
