"""Load on an HTTP service from this process: one connection after another's answer, or at a fixed rate.

Raw HTTP/1.1 over asyncio streams' own transport, because a client library costs more than the services measured. At a
fixed rate a request's time runs from when it was due, not from when a free connection sent it: a service that stalls is
charged for everybody who waited (no coordinated omission).
"""

import asyncio
import gc
import statistics
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import uvloop


@dataclass(frozen=True)
class Seen:
    """What one run of load saw; times in milliseconds."""

    requests: int
    refused: int
    """Answers with another status than 200."""
    seconds: float
    p50: float
    p99: float
    worst: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """The bytes of one request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


def closed_loop(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Seen:
    """Each of ``connections`` asks again as soon as it is answered, for ``seconds``."""
    return _run(_closed(port, requests, connections, seconds))


def open_loop(port: int, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int = 64) -> Seen:
    """Ask ``rate`` times a second, evenly, whatever the service does; a due request waits for a free connection."""
    return _run(_open(port, requests, rate, seconds, connections))


def _run(load: Coroutine[Any, Any, Seen]) -> Seen:
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(load)
    finally:
        gc.enable()


class _Connection(asyncio.Protocol):
    """Sends one request at a time and tells when its answer is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = bytes(self._buffer[:head]).lower()
        at = lower.index(b"content-length:") + 15
        end = lower.find(b"\r\n", at)
        length = int(lower[at : end if end > 0 else None])
        if len(self._buffer) >= head + 4 + length and self._answered is not None:
            status = int(self._buffer[9:12])
            self._buffer.clear()
            answered, self._answered = self._answered, None
            if not answered.done():
                answered.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("The service closed the connection."))

    def ask(self, request: bytes) -> asyncio.Future[int]:
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answered


async def _connect(port: int, count: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(count)]


async def _closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Seen:
    taken: list[float] = []
    refused = 0
    opened = await _connect(port, connections)
    started = time.perf_counter()

    async def keep_asking(connection: _Connection, place: int) -> None:
        nonlocal refused
        while (asked := time.perf_counter()) < started + seconds:
            status = await connection.ask(requests[place % len(requests)])
            refused += status != 200
            taken.append(time.perf_counter() - asked)
            place += connections

    await asyncio.gather(*(keep_asking(each, place) for place, each in enumerate(opened)))
    elapsed = time.perf_counter() - started
    for each in opened:
        each.transport.close()
    return _seen(taken, refused, elapsed)


async def _open(port: int, requests: Sequence[bytes], rate: float, seconds: float, connections: int) -> Seen:
    taken: list[float] = []
    refused = 0
    free = deque(await _connect(port, connections))
    returned = asyncio.Event()
    count = int(rate * seconds)
    started = time.perf_counter() + 0.05

    async def ask(place: int, due: float, connection: _Connection) -> None:
        nonlocal refused
        status = await connection.ask(requests[place % len(requests)])
        refused += status != 200  # after the wait: += reads its left side first
        taken.append(time.perf_counter() - due)
        free.append(connection)
        returned.set()

    asked = set()
    for place in range(count):
        due = started + place / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        while not free:
            returned.clear()
            await returned.wait()
        task = asyncio.create_task(ask(place, due, free.popleft()))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await asyncio.gather(*asked)
    elapsed = time.perf_counter() - started
    for each in free:
        each.transport.close()
    return _seen(taken, refused, elapsed)


def _seen(taken: list[float], refused: int, elapsed: float) -> Seen:
    cut = statistics.quantiles(taken, n=100)
    return Seen(len(taken), refused, elapsed, statistics.median(taken) * 1000, cut[98] * 1000, max(taken) * 1000)
