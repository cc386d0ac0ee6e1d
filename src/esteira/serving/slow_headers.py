"""The server's HTTP protocol with two bounds it lacks: how long a request's head may take, and how large it may be.

Without them a connection that sends a header a minute is held for ever, and one that never ends its headers fills the
memory (uvicorn 0.x has neither a time-out nor a limit before a request is whole).
"""

import asyncio
from typing import Any

from uvicorn import config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAXIMUM_HEAD = 64 * 1024
MAXIMUM_SECONDS = 10.0


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol; a head that is late or too large ends the connection."""

    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_is_whole = False

    def connection_made(self, transport: Any) -> None:
        """Expect the first head from now on."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes, as long as they are not too many for a head."""
        if not self._head_is_whole:
            if self._late is None:  # the next request on a connection that was kept
                self._expect_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._head_is_whole and self._head_bytes > MAXIMUM_HEAD and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """The head is there: nothing is late any more."""
        self._end_wait()
        self._head_is_whole = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there: what comes next is a head again."""
        self._head_is_whole, self._head_bytes = False, 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._end_wait()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(MAXIMUM_SECONDS, self.transport.abort)

    def _end_wait(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def bound_heads() -> None:
    """Let servers that this process starts from now on use the bounded protocol."""
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedHeads.__name__}"
    config.HTTP_PROTOCOLS["httptools"] = config.HTTP_PROTOCOLS["auto"]
