"""The door of a service: an ASGI layer that reads, checks and answers requests before the framework's own dispatch.

It stands behind the framework's metrics, tracing and timeouts, and in front of its generic dispatch, which costs as
much as a prediction. Paths it does not know go on to the framework: the OpenAPI page, metrics, liveness.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from esteira.errors import DataError, EsteiraError, FeatureError, InputError, NoRelease, UnknownName
from esteira.serving.answers import Refusal

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAXIMUM_BODY = 1024 * 1024
_log = logging.getLogger("esteira.serving")


@dataclass(frozen=True)
class Post:
    """A path that takes a JSON body of type ``request``."""

    request: type[BaseModel]
    answer: Callable[[Any], Awaitable[BaseModel]]


@dataclass(frozen=True)
class Get:
    """A path prefix; what follows it is passed on, unquoted. ``answer`` returns the HTTP status and the body."""

    answer: Callable[[str], Awaitable[tuple[int, BaseModel]]]


class _TooLarge(Exception):
    pass


class Edge:
    """The ASGI layer."""

    def __init__(self, app: App, *, posts: Mapping[str, Post], gets: Mapping[str, Get]) -> None:
        """Answer the paths of ``posts`` (whole) and ``gets`` (prefixes); leave all others to ``app``."""
        self._app = app
        self._posts = posts
        self._gets = gets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path: str = scope["path"]
        if scope["method"] == "POST" and path in self._posts:
            return await _reply(send, *await self._post(self._posts[path], scope, receive))
        if scope["method"] == "GET":
            for prefix, get in self._gets.items():
                if path.startswith(prefix):
                    return await _reply(send, *await _get(get, unquote(path.removeprefix(prefix))))
        return await self._app(scope, receive, send)

    async def _post(self, post: Post, scope: Scope, receive: Receive) -> tuple[int, BaseModel]:
        try:
            asked = post.request.model_validate_json(await _body(scope, receive))
        except ValidationError as error:
            return 400, Refusal(error=_sentence(error))
        except _TooLarge:
            return 413, Refusal(error=f"The body is larger than {MAXIMUM_BODY:,} bytes. Ask in several requests.")
        try:
            return 200, await post.answer(asked)
        except Exception as error:  # noqa: BLE001 - the caller gets a status and a sentence, never a stack trace
            return _refused(error)


async def _get(get: Get, rest: str) -> tuple[int, BaseModel]:
    try:
        return await get.answer(rest)
    except Exception as error:  # noqa: BLE001 - as above
        return _refused(error)


def _refused(error: Exception) -> tuple[int, Refusal]:
    if isinstance(error, UnknownName):
        return 404, Refusal(error=str(error))
    if isinstance(error, InputError):
        return 400, Refusal(error=str(error))
    if isinstance(error, NoRelease | DataError | FeatureError):
        return 503, Refusal(error=str(error))
    reference = uuid4().hex[:12]
    _log.error("Request failed, reference %s", reference, exc_info=error)
    kind = "This release cannot answer" if isinstance(error, EsteiraError) else "An unexpected error occurred"
    return 500, Refusal(error=f"{kind}; it is in the service's log under reference {reference}.")


async def _body(scope: Scope, receive: Receive) -> bytes:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > MAXIMUM_BODY:
        raise _TooLarge
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAXIMUM_BODY:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def _reply(send: Send, status: int, answer: BaseModel) -> None:
    body = answer.model_dump_json().encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _sentence(error: ValidationError) -> str:
    shown = error.errors(include_url=False, include_context=False)
    first = shown[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    given = f", but {first['input']!r:.80} was given" if first["type"] != "missing" else ""
    more = f" {len(shown) - 1} more problems follow." if len(shown) > 1 else ""
    return f"Cannot read {where}: {first['msg']}{given}.{more} The expected form is at /docs.json."
