"""The door of a service: an ASGI layer that reads, checks and answers requests before the framework's own dispatch.

It stands behind the framework's metrics, tracing and timeouts, and in front of its generic dispatch, which costs as
much as a prediction. Only ``FRAMEWORK`` goes on to the framework, and only to be read: the framework's own index page
would load other people's scripts into a browser.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from esteira.errors import DataError, EsteiraError, FeatureError, InputError, NoRelease, UnknownName
from esteira.serving import measures
from esteira.serving.answers import Refusal
from esteira.serving.bodies import NoJson, TooLarge, TooSlow, read_body
from esteira.serving.load import Load, Overloaded
from esteira.serving.replies import App, Header, Receive, Scope, Send, reply, reply_page
from esteira.serving.request_log import request_id

FRAMEWORK = frozenset({"/livez", "/healthz", "/docs.json", "/schema.json"})
_STATUS: Mapping[type[EsteiraError], int] = {
    UnknownName: 404,
    TooLarge: 413,
    TooSlow: 408,
    NoJson: 415,
    InputError: 400,
    Overloaded: 503,
    NoRelease: 503,
    DataError: 503,
    FeatureError: 503,
}
"""The first kind an error is of gives the status; what is of none is our own failure."""
_log = logging.getLogger("esteira.serving")


@dataclass(frozen=True)
class Post:
    """A path that takes a JSON body of type ``request``."""

    request: type[BaseModel]
    answer: Callable[[Any], Awaitable[BaseModel]]


@dataclass(frozen=True)
class Get:
    """A path, or a prefix that ends in a slash; what follows is passed on. ``answer`` returns status and body."""

    answer: Callable[[str], Awaitable[tuple[int, BaseModel]]]


class Edge:
    """The ASGI layer."""

    def __init__(
        self, app: App, *, posts: Mapping[str, Post], gets: Mapping[str, Get], load: Load | None = None
    ) -> None:
        """Answer the paths of ``posts`` (whole) and ``gets`` (whole, or prefixes that end in a slash).

        ``load`` bounds how many questions are answered at a time, and for how long; ``app`` is the framework.
        """
        self._app = app
        self._load = load or Load()
        self._posts = posts
        self._gets = gets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        post = self._posts.get(scope["path"])
        if post is None:
            return await self._get(scope, receive, send)
        if scope["method"] == "POST":
            return await reply(send, *await self._post(post, scope, receive))
        return await _reply_instead(send, 405, f"{scope['path']} is asked by POST.", (b"allow", b"POST"))

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if method != "GET":
            return await _reply_instead(send, 405, f"{method} {path!r:.200} does nothing here. See GET /docs.json.")
        for prefix, get in self._gets.items():
            if path == prefix or (prefix.endswith("/") and path.startswith(prefix)):
                return await reply(send, *await _answer(get, path.removeprefix(prefix)))
        if path == "/metrics":
            return await reply_page(send, measures.CONTENT_TYPE, await asyncio.to_thread(measures.page))
        if path in FRAMEWORK:
            return await self._app(scope, receive, send)
        return await _reply_instead(send, 404, f"Nothing is at {path!r:.200}. What there is: GET /docs.json.")

    async def _post(self, post: Post, scope: Scope, receive: Receive) -> tuple[int, BaseModel]:
        try:
            body = await read_body(scope, receive)
            try:
                asked = post.request.model_validate_json(body)
            except ValidationError as error:
                return 400, Refusal(error=_sentence(error))
            return 200, await self._load.carry(post.answer, asked)
        except Exception as error:  # noqa: BLE001 - the caller gets a status and a sentence, never a stack trace
            return _refused(error)


async def _reply_instead(send: Send, status: int, why: str, *headers: Header) -> None:
    await reply(send, status, Refusal(error=why), headers)


async def _answer(get: Get, rest: str) -> tuple[int, BaseModel]:
    try:
        return await get.answer(rest)
    except Exception as error:  # noqa: BLE001 - as above
        return _refused(error)


def _refused(error: Exception) -> tuple[int, Refusal]:
    for kind_of_error, status in _STATUS.items():
        if isinstance(error, kind_of_error):
            return status, Refusal(error=str(error))
    reference = request_id.get()
    _log.error("Request failed, reference %s", reference, exc_info=error)
    kind = "This release cannot answer" if isinstance(error, EsteiraError) else "An unexpected error occurred"
    return 500, Refusal(error=f"{kind}; it is in the service's log under reference {reference}.")


def _sentence(error: ValidationError) -> str:
    shown = error.errors(include_url=False, include_context=False)
    first = shown[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    given = f", but {first['input']!r:.80} was given" if first["type"] != "missing" else ""
    more = f" {len(shown) - 1} more problems follow." if len(shown) > 1 else ""
    return f"Cannot read {where}: {first['msg']}{given}.{more} The expected form is at /docs.json."
