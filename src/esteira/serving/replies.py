"""How a service replies over ASGI, and the headers every reply bears."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from pydantic import BaseModel

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

_EVERY_REPLY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


async def reply(send: Send, status: int, answer: BaseModel, headers: Iterable[Header] = ()) -> None:
    """Send ``answer`` as JSON; with 503 the caller is asked to come again in a second unless ``headers`` say when."""
    body = answer.model_dump_json().encode()
    told = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    if status == 503 and not any(name == b"retry-after" for name, _ in told):
        told.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


async def reply_page(send: Send, content_type: str, body: bytes) -> None:
    """Send a page that is no JSON."""
    told = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": told})
    await send({"type": "http.response.body", "body": body})


def marked(send: Send, request: str, told: list[int]) -> Send:
    """``send``, with the request's id and the headers of every reply added to whatever is replied.

    The status that is replied is appended to ``told``.
    """
    mine = ((b"x-request-id", request.encode()), *_EVERY_REPLY)

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            told.append(message["status"])
            message["headers"] = [*message.get("headers", ()), *mine]
        await send(message)

    return send_marked
