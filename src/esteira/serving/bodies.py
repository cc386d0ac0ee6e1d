"""Read the body of a request: JSON of a bounded size, sent within a bounded time."""

import asyncio

from esteira.errors import InvalidRequest
from esteira.serving.replies import Receive, Scope

MAXIMUM_BODY = 1024 * 1024
MAXIMUM_SECONDS = 5.0
_TOO_LARGE = f"The body is larger than {MAXIMUM_BODY:,} bytes. Ask in several requests."


class TooLarge(InvalidRequest):
    """The body has more bytes than are read."""


class TooSlow(InvalidRequest):
    """The body did not arrive in time."""


class NoJson(InvalidRequest):
    """The body is declared to be something else, such as a form: multipart forms in particular are never parsed."""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises TooLarge, TooSlow or NoJson, each before more is read or kept than is allowed."""
    declared = b"0"
    for name, value in scope["headers"]:
        if name == b"content-length":
            declared = value
        elif name == b"content-type" and value.partition(b";")[0].strip().lower() != b"application/json":
            kind = value[:80].decode("latin-1")
            raise NoJson(f"A body of type {kind!r} is not read. Send content-type application/json.")
    if not declared.isdigit() or int(declared) > MAXIMUM_BODY:
        raise TooLarge(_TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(MAXIMUM_SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise TooSlow("The caller left before the body was whole.")
                body += message.get("body", b"")
                if len(body) > MAXIMUM_BODY:
                    raise TooLarge(_TOO_LARGE)
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise TooSlow(f"The body did not arrive within {MAXIMUM_SECONDS:g} seconds.") from error
    return bytes(body)
