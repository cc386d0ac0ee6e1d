"""A TCP proxy that goes wrong on demand, in front of any real server: it refuses, delays, resets, or stops half-way."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Literal

Mode = Literal["pass", "refuse", "delay", "reset", "half", "silent"]


class Proxy:
    """Forwards ``port`` to a server on this machine; ``mode`` says how, from the next bytes on."""

    def __init__(self, target: int) -> None:
        self.mode: Mode = "pass"
        self.delay = 0.2
        self.open = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port = int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            _reset(writer)
            return
        self.open += 1
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        asks = asyncio.create_task(self._carry(reader, downstream, answers=False))
        try:
            await self._carry(upstream, writer, answers=True)
        finally:
            asks.cancel()
            self.open -= 1
            for each in (writer, downstream):
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(65536):
            if answers and self.mode in ("reset", "refuse"):
                _reset(writer)
                return
            if answers and self.mode == "delay":
                await asyncio.sleep(self.delay)
            if answers and self.mode == "silent":
                continue
            writer.write(data[: len(data) // 2] if answers and self.mode == "half" else data)
            with contextlib.suppress(OSError):
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy before ``target`` until the block ends."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
