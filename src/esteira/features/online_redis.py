"""A fresh online store in Redis: one hash per view, writes guarded inside Redis, one round trip reads many views.

Use it in any Feast project: ``online_store: {type: esteira.features.online_store.RedisFreshOnlineStore,
connection_string: "localhost:6379"}``.
"""

import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from feast.repo_config import FeastConfigBaseModel
from pydantic import StrictStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from esteira.errors import FeatureError, InputError, StoreUnreachable
from esteira.features.online_base import FreshOnlineStore, Row
from esteira.features.online_layout import RowLayout
from esteira.features.online_view import Stored

_TIMES = struct.Struct(">qq")
_ROWS_PER_CALL = 2_000
"""A script call blocks Redis: 2,000 rows are some milliseconds."""
_DEADLINE = 5.0
"""Seconds until a silent Redis is an error when it is written, unless the connection string says otherwise."""
_READ_DEADLINE = 1.0
"""The same for reads, which are answered in a millisecond, and for which a caller waits."""

# Lua's numbers are doubles, exact only to 2^53, so both times are compared as high and low halves.
_KEEP = """
local kept = 0
for i = 1, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local newer = true
  if old then
    local a = {struct.unpack('>i4I4i4I4', old)}
    local b = {struct.unpack('>i4I4i4I4', ARGV[i + 1])}
    for j = 1, 4 do
      if a[j] ~= b[j] then
        newer = b[j] > a[j]
        break
      end
    end
  end
  if newer then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    kept = kept + 1
  end
end
return kept
"""


class RedisFreshOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings of the Redis store."""

    type: StrictStr = "esteira.features.online_store.RedisFreshOnlineStore"
    connection_string: StrictStr = "localhost:6379"
    """As for Feast's own Redis store: ``host:port,db=0,username=…,password=…,ssl=true,socket_timeout=5``."""
    namespace: StrictStr = "esteira"
    """How all keys begin; Feast repositories with one project name stay apart in one Redis by different ones."""


class RedisFreshOnlineStore(FreshOnlineStore):
    """One hash per view: entity key -> the two times and the whole row as one payload."""

    def __init__(self) -> None:
        """The client is made on first use and shared by all threads."""
        self._clients: dict[tuple[int, str, bool], tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def _client(self, config: Any, *, reads: bool = False) -> Iterator[tuple[Any, Any]]:
        """The client and the guarded write as a registered script."""
        text = config.online_store.connection_string
        mine = (os.getpid(), text, reads)
        with self._lock:
            if mine not in self._clients:
                # One more try, at once, for a connection that went stale; redis-py's own ten hide an outage. Who was
                # silent for the whole of a read's time is not asked again: a caller waits.
                again = (redis.ConnectionError,) if reads else (redis.ConnectionError, redis.TimeoutError)
                options = parse_connection(text, deadline=_READ_DEADLINE if reads else _DEADLINE)
                client = redis.Redis(**options, retry=Retry(NoBackoff(), 1, supported_errors=again))
                self._clients[mine] = (client, client.register_script(_KEEP))
        try:
            yield self._clients[mine]
        except redis.RedisError as error:
            raise StoreUnreachable(
                f"The online store at {text.split(',')[0]} did not do its work: {error}. "
                "Check that Redis runs there and accepts this client, then try again."
            ) from error

    def _fetch(self, config: Any, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[dict[bytes, Stored]]:
        asked = [(table, keys) for table, keys in wanted if keys]
        with self._client(config, reads=True) as (client, _):
            pipeline = client.pipeline(transaction=False)
            for table, keys in asked:
                pipeline.hmget(_hash(config, table), keys)
            replies = iter(pipeline.execute()) if asked else iter(())
        found: list[dict[bytes, Stored]] = []
        for _, keys in wanted:
            values = next(replies) if keys else ()
            found.append(
                {
                    key: (*_TIMES.unpack_from(value), value[_TIMES.size :])
                    for key, value in zip(keys, values, strict=True)
                    if value is not None
                }
            )
        return found

    def _keep(self, config: Any, table: str, layout: RowLayout, rows: Sequence[Row]) -> int:
        """As declared; all or none for each 2,000 rows, because Redis has no larger unit that does not block it."""
        with self._client(config) as (client, keep):
            client.hsetnx(_layouts(config, table), layout.signature, layout.description)
            kept = 0
            for start in range(0, len(rows), _ROWS_PER_CALL):
                arguments = [
                    part
                    for key, event, created, payload in rows[start : start + _ROWS_PER_CALL]
                    for part in (key, _TIMES.pack(event, created) + payload)
                ]
                kept += int(keep(keys=[_hash(config, table)], args=arguments))
        return kept

    def _known_layout(self, config: Any, table: str, signature: bytes) -> RowLayout:
        with self._client(config) as (client, _):
            description = client.hget(_layouts(config, table), signature)
        if description is None:
            raise FeatureError(
                f"Cannot read a row of {table!r} from Redis: its layout {signature.hex()} is not recorded. "
                "The database was altered by something else; write the views again."
            )
        return RowLayout.parse(description.decode())

    def _is_empty(self, config: Any, table: str) -> bool:
        with self._client(config) as (client, _):
            return not client.exists(_hash(config, table))

    def _keys(self, config: Any, table: str) -> Iterator[bytes]:
        with self._client(config) as (client, _):
            for key, _value in client.hscan_iter(_hash(config, table), count=_ROWS_PER_CALL):
                yield key

    def _erase(self, config: Any, table: str, keys: Sequence[bytes]) -> None:
        """As declared; what Redis itself wrote to disk (RDB, AOF) lives on until Redis writes it anew."""
        with self._client(config) as (client, _):
            for start in range(0, len(keys), _ROWS_PER_CALL):
                client.hdel(_hash(config, table), *keys[start : start + _ROWS_PER_CALL])

    def _drop(self, config: Any, tables: Sequence[str]) -> None:
        if tables:
            with self._client(config) as (client, _):
                client.unlink(*(name(config, table) for table in tables for name in (_hash, _layouts)))


def _hash(config: Any, table: str) -> str:
    return f"{config.online_store.namespace}:view:{table}"


def _layouts(config: Any, table: str) -> str:
    return f"{config.online_store.namespace}:layouts:{table}"


def parse_connection(text: str, *, deadline: float = _DEADLINE) -> dict[str, Any]:
    """Feast's connection string as arguments of ``redis.Redis``; ``deadline`` in seconds unless it names its own.

    >>> parse_connection("redis:6380,db=2,ssl=true")["port"]
    6380

    Raises:
        InputError: it names no host and port, more than one, or an option that is not known.
    """
    known: dict[str, Callable[[str], Any]] = {
        "db": int,
        "username": str,
        "password": str,
        "ssl": lambda value: value.lower() == "true",
        "socket_timeout": float,
    }
    arguments: dict[str, Any] = {"socket_timeout": deadline, "socket_connect_timeout": deadline}
    parts = text.split(",")
    if "://" in text or "@" in text:  # not repeated in the message: it may hold a password
        raise InputError(
            "The Redis connection string is a URL, which Feast does not read. "
            "Expected host:port, then options such as ,db=0,password=…,ssl=true."
        )
    host, colon, port = parts[0].rpartition(":")
    if not colon or not port.isdigit() or "=" in parts[0]:
        raise InputError(
            f"Cannot read the start of the Redis connection string, {parts[0]!r}. Expected host:port, "
            "then options such as ,db=0,password=…,ssl=true."
        )
    arguments |= {"host": host, "port": int(port)}
    for part in parts[1:]:
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise InputError(
                f"Unknown option {name!r} in the Redis connection string. Known: {', '.join(known)}. "
                "Several hosts (cluster, sentinel) are not supported: give one address that reaches the primary."
            )
        arguments[name] = known[name](value)
    return arguments
