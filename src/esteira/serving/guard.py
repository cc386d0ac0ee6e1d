"""The guard at a service's door: it names each request, and lets pass who has a key for what is asked.

It stands in front of everything else the service answers, the framework's own pages included. What needs which scope
is told by the first part of the path, and what is not told needs ``admin``: a page nobody thought of is closed.
"""

import logging
import math
import time
from collections.abc import Mapping

from esteira.errors import DataError
from esteira.serving.access import Key, Keys
from esteira.serving.answers import Refusal
from esteira.serving.measures import measures
from esteira.serving.rate_limit import RateLimit
from esteira.serving.replies import App, Header, Receive, Scope, Send, marked, reply
from esteira.serving.request_log import name_request

OPEN = frozenset({"/livez", "/healthz", "/readyz"})
"""Exactly these paths need no key: probes have none."""
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LOCAL_NAMES = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
_BEARER = b"bearer "

_log = logging.getLogger("esteira.serving")

Refused = tuple[int, str, tuple[Header, ...]]


class Guard:
    """The ASGI layer."""

    def __init__(
        self, app: App, *, keys: Keys, scopes: Mapping[str, str], loopback_needs_key: bool, requests_per_second: float
    ) -> None:
        """Guard ``app``.

        Args:
            app: what is guarded.
            keys: where a presented key is recognised.
            scopes: first part of a path -> the scope it needs; any other path needs ``admin``.
            loopback_needs_key: False lets a program on this machine ask without a key; never one that forwards others.
            requests_per_second: the limit of a key that has none of its own, in each process.
        """
        self._app = app
        self._keys = keys
        self._scopes = scopes
        self._loopback_needs_key = loopback_needs_key
        self._rate = requests_per_second
        self._limit = RateLimit()
        if not loopback_needs_key:
            _log.warning("Programs on this machine need no key; with ESTEIRA_SERVICE_KEYS=required they do.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return None
            return await self._app(scope, receive, send)
        started, told = time.perf_counter(), list[int]()
        headers = dict(scope["headers"])
        send = marked(send, name_request(headers.get(b"x-request-id")), told)
        refused = self._refused(scope, headers)
        try:
            if refused is None:
                return await self._app(scope, receive, send)
            status, why, more = refused
            return await reply(send, status, Refusal(error=why), more)
        finally:
            path = _first_part(scope["path"])
            known = path in self._scopes or path in OPEN
            measures().replied(path if known else "other", told[0] if told else 499, time.perf_counter() - started)

    def _refused(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Refused | None:
        path: str = scope["path"]
        if path in OPEN:
            return None
        presented = headers.get(b"authorization")
        if presented is None and not self._loopback_needs_key and _is_local(scope, headers):
            return None
        try:
            key = _recognised(presented, self._keys)
        except DataError as error:
            return 503, str(error), ()
        if key is None:
            return (
                401,
                "This service needs a valid key. Send the header 'Authorization: Bearer <key>'; "
                "esteira keys create makes one.",
                ((b"www-authenticate", b"Bearer"),),
            )
        return self._key_refused(key, path)

    def _key_refused(self, key: Key, path: str) -> Refused | None:
        needed = self._scopes.get(_first_part(path), "admin")
        if needed not in key.scopes and "admin" not in key.scopes:
            given = ", ".join(sorted(key.scopes))
            return 403, f"The key {key.name!r} has the scope {given}; this path needs {needed}.", ()
        rate = key.requests_per_second or self._rate
        if wait := self._limit.wait(key.id, rate, time.monotonic()):
            seconds = math.ceil(wait)
            more = ((b"retry-after", str(seconds).encode()),)
            return 429, f"The key {key.name!r} may ask {rate:g} times a second. Ask again in {seconds} s.", more
        return None


def _first_part(path: str) -> str:
    return "/" + path[1:].partition("/")[0]


def _recognised(presented: bytes | None, keys: Keys) -> Key | None:
    if presented is None or presented[: len(_BEARER)].lower() != _BEARER:
        return None
    return keys.find(presented[len(_BEARER) :].strip().decode("ascii", errors="replace"))


def _is_local(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a program on this machine asks for itself.

    Neither a proxy on this machine, which asks for others, nor a page in a browser that had its name point here.
    """
    client = scope.get("client")
    if client is None or client[0] not in _LOOPBACK or any(name in headers for name in _FORWARDED):
        return False
    host = headers.get(b"host", b"")
    name = host[: host.index(b"]") + 1] if host.startswith(b"[") and b"]" in host else host.partition(b":")[0]
    return name in _LOCAL_NAMES
