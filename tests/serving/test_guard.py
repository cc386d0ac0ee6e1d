import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from esteira.errors import DataError
from esteira.serving.access import Key, make_key, recognise
from esteira.serving.guard import OPEN, Guard
from esteira.serving.replies import Message, Receive, Scope, Send
from esteira.serving.request_log import request_id

SCOPES = {"/predict": "predict", "/cached": "predict", "/outcomes": "outcomes", "/docs.json": "predict"}
EVERYWHERE = [
    "/predict",
    "/cached/x",
    "/outcomes",
    "/docs.json",
    "/metrics",
    "/",
    "/schema.json",
    "/nobody/thought/of/it",
]


class Drawer:
    """Keys in memory."""

    def __init__(self) -> None:
        self.known: dict[str, Key] = {}

    def add(self, *scopes: str, rate: float | None = None) -> str:
        identity, whole, digest = make_key()
        self.known[identity] = Key(identity, "a test", digest, frozenset(scopes), rate)
        return whole

    def find(self, presented: str) -> Key | None:
        if not self.known:
            raise DataError("The service cannot tell who may ask.")
        return recognise(presented, self.known)


class Door:
    def __init__(self, *, loopback_needs_key: bool = True) -> None:
        self.keys = Drawer()
        self.passed: list[str] = []
        self.guard = Guard(
            self._app,
            keys=self.keys,
            scopes=SCOPES,
            loopback_needs_key=loopback_needs_key,
            requests_per_second=1000,
        )

    async def _app(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.passed.append(f"{scope['path']} {request_id.get()}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def ask(
        self, path: str, key: str | None = None, client: str = "10.0.0.7", **headers: str
    ) -> tuple[int, Any, Mapping[bytes, bytes]]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError("the guard never reads a body")

        told = {"host": "127.0.0.1:3000", **headers} | ({} if key is None else {"authorization": f"Bearer {key}"})
        listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
        scope = {"type": "http", "method": "GET", "path": path, "headers": listed, "client": (client, 5000)}
        asyncio.run(self.guard(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"]), dict(sent[0]["headers"])


@pytest.mark.parametrize("path", EVERYWHERE)
def test_without_a_key_everything_is_closed(path: str) -> None:
    door = Door()
    good = door.keys.add("admin")
    for wrong in (None, "", "nonsense", good[:-1], f"{good[:-1]}{'A' if good[-1] != 'A' else 'B'}", good.upper()):
        status, answer, headers = door.ask(path, wrong)
        assert status == 401
        assert "valid key" in answer["error"]
        assert headers[b"www-authenticate"] == b"Bearer"
    assert door.passed == []


def test_probes_need_no_key_and_only_their_exact_paths_do_not() -> None:
    door = Door()
    door.keys.add("admin")
    assert [door.ask(path)[0] for path in sorted(OPEN)] == [200, 200, 200]
    for path in ("/readyz/", "/x/readyz", "//livez", "/livez/../metrics", "/LIVEZ", "/healthz2"):
        assert door.ask(path)[0] == 401


@pytest.mark.parametrize(
    ("scope", "opened"),
    [
        ("predict", {"/predict", "/cached/x", "/docs.json"}),
        ("outcomes", {"/outcomes"}),
        ("admin", set(EVERYWHERE)),
    ],
)
def test_a_scope_opens_what_it_is_for_and_nothing_else(scope: str, opened: set[str]) -> None:
    door = Door()
    key = door.keys.add(scope)
    found = {path: door.ask(path, key)[0] for path in EVERYWHERE}
    assert found == {path: 200 if path in opened else 403 for path in EVERYWHERE}


def test_a_key_that_asks_too_often_waits_and_no_other_waits_for_it() -> None:
    door = Door()
    fast, slow = door.keys.add("predict"), door.keys.add("predict", rate=0.5)
    statuses = [door.ask("/predict", slow)[0] for _ in range(4)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    _, answer, headers = door.ask("/predict", slow)
    assert "0.5 times a second" in answer["error"]
    assert int(headers[b"retry-after"]) >= 1
    assert door.ask("/predict", fast)[0] == 200


def test_while_keys_cannot_be_known_nothing_opens_and_the_probe_answers() -> None:
    door = Door()
    assert door.ask("/predict", make_key()[1])[0] == 503
    assert door.ask("/livez")[0] == 200


def test_a_program_on_this_machine_may_ask_without_a_key_if_that_is_allowed() -> None:
    assert Door(loopback_needs_key=False).ask("/metrics", client="127.0.0.1")[0] == 200
    assert Door(loopback_needs_key=False).ask("/predict", client="::1", host="[::1]:3000")[0] == 200
    strict = Door()
    strict.keys.add("admin")
    assert strict.ask("/predict", client="127.0.0.1")[0] == 401


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("10.0.0.7", {}),
        ("127.0.0.1", {"x_forwarded_for": "127.0.0.1"}),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"via": "1.1 proxy"}),
        ("127.0.0.1", {"host": "evil.example"}),
        ("127.0.0.1", {"host": "localhost.evil.example"}),
        ("127.0.0.1", {"host": ""}),
    ],
)
def test_neither_a_proxy_nor_a_page_in_a_browser_is_taken_for_a_program_here(
    client: str, headers: dict[str, str]
) -> None:
    door = Door(loopback_needs_key=False)
    door.keys.add("admin")
    assert door.ask("/predict", client=client, **headers)[0] == 401


def test_a_wrong_key_is_refused_also_where_none_is_needed() -> None:
    door = Door(loopback_needs_key=False)
    door.keys.add("admin")
    assert door.ask("/predict", "esteira_wrong", client="127.0.0.1")[0] == 401


@pytest.mark.parametrize("given", ["abc-1.2_3", None, "", "a b", "x" * 65, 'line","level":"x', "ü"])
def test_every_reply_names_its_request_and_protects_its_reader(given: str | None) -> None:
    door = Door()
    key = door.keys.add("admin")
    headers = {} if given is None else {"x_request_id": given}
    _, _, replied = door.ask("/predict", key, **headers)
    name = replied[b"x-request-id"].decode()
    assert door.passed == [f"/predict {name}"]
    assert (name == given) == (given == "abc-1.2_3")
    assert replied[b"x-content-type-options"] == b"nosniff"
    assert b"default-src 'none'" in replied[b"content-security-policy"]
    assert door.ask("/predict")[2][b"cache-control"] == b"no-store"


def test_a_websocket_is_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    asyncio.run(Door().guard({"type": "websocket", "path": "/predict", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_key_does_not_show_what_it_keeps() -> None:
    drawer = Drawer()
    whole = drawer.add("predict")
    (key,) = drawer.known.values()
    for secret in (whole.rpartition("_")[2], key.digest.hex(), str(key.digest)):
        assert secret not in f"{key!r} {key}"
