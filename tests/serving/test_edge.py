import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from esteira.errors import DataError, InvalidRequest, ModelError, NoRelease, UnknownName
from esteira.serving.answers import Health, Refusal, Request
from esteira.serving.edge import MAXIMUM_BODY, Edge, Get, Message, Post, Receive, Scope, Send


class Question(Request):
    number: int
    words: tuple[str, ...] = ()


async def framework(scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps({"path": scope["path"]}).encode()})


def ask(
    path: str,
    *chunks: bytes,
    method: str = "POST",
    failure: Exception | None = None,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> tuple[int, Any, dict[bytes, bytes]]:
    """One request through the edge: status, JSON body, headers."""

    async def answer(question: Question) -> Refusal:
        if failure is not None:
            raise failure
        return Refusal(error=f"got {question.number}")

    async def health(rest: str) -> tuple[int, Health]:
        if failure is not None:
            raise failure
        return 503, Health(ready=False, use_case=rest, release=None, model_version=None, troubles=[])

    sent: list[Message] = []
    waiting = [{"type": "http.request", "body": each, "more_body": True} for each in chunks]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    edge = Edge(framework, posts={"/ask": Post(Question, answer)}, gets={"/health/": Get(health)})
    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(edge(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"]), dict(sent[0]["headers"])


def test_a_body_in_chunks_is_read_whole_and_answered() -> None:
    status, body, headers = ask("/ask", b'{"num', b'ber": 3}')
    assert (status, body) == (200, {"error": "got 3"})
    assert headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize(("method", "path"), [("GET", "/ask"), ("POST", "/metrics"), ("GET", "/docs.json")])
def test_what_the_edge_does_not_know_goes_to_the_framework(method: str, path: str) -> None:
    assert ask(path, method=method)[:2] == (299, {"path": path})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"number": "3"}', "Cannot read number: Input should be a valid integer, but '3' was given."),
        (b'{"number": true}', "Cannot read number"),
        (b'{"number": NaN}', "Cannot read number"),
        (b'{"number": 3, "more": 1}', "Cannot read more: Extra inputs are not permitted"),
        (b"{}", "Cannot read number: Field required."),
        (b"", "Cannot read the body: Invalid JSON"),
        (b'{"number": 3, "words": [1, 2]}', "Cannot read words.0: Input should be a valid string"),
        (b"[" * 100_000, "Cannot read the body: Invalid JSON"),
        (b'\xff\xfe{"number": 3}', "Cannot read the body: Invalid JSON"),
    ],
)
def test_a_body_that_is_not_the_question_is_refused_in_a_sentence(body: bytes, problem: str) -> None:
    status, answer, _ = ask("/ask", body)
    assert status == 400
    assert problem in answer["error"]


@pytest.mark.parametrize("headers", [[(b"content-length", b"209715200")], []])
def test_a_body_that_is_too_large_is_refused_declared_or_not(headers: list[tuple[bytes, bytes]]) -> None:
    status, answer, _ = ask("/ask", b"x" * MAXIMUM_BODY, b"x", headers=headers)
    assert status == 413
    assert "larger than 1,048,576 bytes" in answer["error"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(InvalidRequest("no"), 400), (UnknownName("no"), 404), (NoRelease("no"), 503), (DataError("no"), 503)],
)
def test_each_refusal_has_its_status_and_its_own_words(failure: Exception, expected: int) -> None:
    status, answer, headers = ask("/ask", b'{"number": 3}', failure=failure)
    assert (status, answer) == (expected, {"error": "no"})
    assert (b"retry-after" in headers) == (expected == 503)


@pytest.mark.parametrize("failure", [ModelError("the model's secret"), ZeroDivisionError("division of a secret")])
def test_a_failure_inside_is_told_by_reference_and_logged(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    status, answer, _ = ask("/ask", b'{"number": 3}', failure=failure)
    assert status == 500
    assert "secret" not in answer["error"]
    reference = answer["error"].rpartition(" ")[2].rstrip(".")
    assert reference in caplog.text
    assert "secret" in caplog.text


def test_what_follows_a_get_prefix_is_unquoted_and_the_status_is_the_answers() -> None:
    status, body, _ = ask("/health/a%20b", method="GET")
    assert (status, body["use_case"]) == (503, "a b")
    assert ask("/health/x", method="GET", failure=UnknownName("nobody"))[:2] == (404, {"error": "nobody"})
