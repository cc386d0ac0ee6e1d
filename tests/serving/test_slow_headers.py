import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from uvicorn import config

from esteira.serving import slow_headers
from esteira.serving.replies import Message, Receive, Scope, Send
from esteira.serving.slow_headers import BoundedHeads, bound_heads

WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def app(_scope: Scope, receive: Receive, send: Send) -> None:
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as listening, pytest.MonkeyPatch.context() as patch:
        patch.setattr(slow_headers, "MAXIMUM_SECONDS", 0.5)
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=BoundedHeads, log_config=None, lifespan="off"))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield int(listening.getsockname()[1])
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def ended(connection: socket.socket) -> bool:
    """Whether the server ends the connection; waits until it does."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\nslow"])
def test_a_head_that_does_not_come_ends_the_connection(port: int, begun: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(begun)
        assert ended(connection)


def send_more(connection: socket.socket, header: bytes, times: int, pause: float) -> None:
    for _ in range(times):
        connection.sendall(header)
        time.sleep(pause)
    ended(connection)
    raise AssertionError(f"{times} headers were taken")


@pytest.mark.parametrize(
    ("header", "times", "pause"), [(b"x: y\r\n", 200, 0.1), (b"x: " + b"y" * 2000 + b"\r\n", 5000, 0.0)]
)
def test_neither_a_header_now_and_then_nor_headers_without_an_end_hold_a_connection(
    port: int, header: bytes, times: int, pause: float
) -> None:
    with connect(port) as connection:
        connection.sendall(WHOLE[:-2])
        with pytest.raises(ConnectionError):
            send_more(connection, header, times, pause)


def answer(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"ok"):
        more = connection.recv(4096)
        assert more, read
        read += more
    return read


def test_whole_requests_are_answered_one_after_the_other_and_a_long_body_is_no_head(port: int) -> None:
    body = b"z" * (slow_headers.MAXIMUM_HEAD * 3)
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(WHOLE)
            assert answer(connection).startswith(b"HTTP/1.1 200")
            time.sleep(0.7)  # longer than a head may take: nothing was begun, so nothing is late
            connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            assert answer(connection).startswith(b"HTTP/1.1 200")


def test_servers_started_afterwards_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("auto", "httptools"):
        monkeypatch.setitem(config.HTTP_PROTOCOLS, name, "before")
    bound_heads()
    loaded = uvicorn.Config(app, log_config=None)
    loaded.load()
    assert loaded.http_protocol_class is BoundedHeads
