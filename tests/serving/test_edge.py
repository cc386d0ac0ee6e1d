import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import ValidationError

from esteira.errors import DataError, InvalidRequest, ModelError, NoRelease, UnknownName
from esteira.serving import bodies
from esteira.serving.answers import Health, Refusal, Request
from esteira.serving.bodies import MAXIMUM_BODY
from esteira.serving.edge import Edge, Get, Post
from esteira.serving.load import Load
from esteira.serving.replies import Message, Receive, Scope, Send
from esteira.serving.request_log import request_id


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

    request_id.set("r17")
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


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/docs.json", "/schema.json"])
def test_only_the_frameworks_harmless_pages_are_reached_and_only_to_be_read(path: str) -> None:
    assert ask(path, method="GET")[:2] == (299, {"path": path})
    assert ask(path, method="POST")[0] == 405


@pytest.mark.parametrize("path", ["/", "/static_content/x.js", "/metrics/", "/livezz", "/readyz", "/.env", "//metrics"])
def test_what_nobody_declared_is_not_there(path: str) -> None:
    status, answer, _ = ask(path, method="GET")
    assert (status, answer["error"]) == (404, f"Nothing is at {path!r}. What there is: GET /docs.json.")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_a_question_is_asked_by_post(method: str) -> None:
    status, _, headers = ask("/ask", method=method)
    assert (status, headers[b"allow"]) == (405, b"POST")


@pytest.mark.parametrize(
    "kind",
    [b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded", b"text/plain", b"application/pickle"],
)
def test_a_body_that_says_it_is_no_json_is_not_read(kind: bytes) -> None:
    assert ask("/ask", b'{"number": 3}', headers=[(b"content-type", kind)])[0] == 415


def test_a_body_that_comes_too_slowly_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAXIMUM_SECONDS", 0.05)

    async def never() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def read() -> None:
        with pytest.raises(bodies.TooSlow):
            await bodies.read_body({"headers": []}, never)

    asyncio.run(read())


def test_beyond_what_is_carried_questions_are_refused_at_once_and_slow_ones_in_time() -> None:
    async def slow(number: int) -> int:
        await asyncio.sleep(0.1 if number else 60)
        return number

    async def crowd() -> list[object]:
        load = Load(most=3, seconds=0.5)
        answers = await asyncio.gather(*(load.carry(slow, n % 4) for n in range(8)), return_exceptions=True)
        assert load.carried == 0
        assert await load.carry(slow, 7) == 7
        return [*answers]

    answers = [str(each).split()[0] for each in asyncio.run(crowd())]
    assert answers == ["There", "1", "2", *["3"] * 5]


def test_a_failure_while_answering_is_never_blamed_on_the_caller() -> None:
    with pytest.raises(ValidationError) as inner:
        Question.model_validate({})
    assert ask("/ask", b'{"number": 3}', failure=inner.value)[0] == 500


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
    assert reference == "r17"
    assert reference in caplog.text
    assert "secret" in caplog.text


def test_what_follows_a_get_prefix_is_passed_on_and_the_status_is_the_answers() -> None:
    # The server has decoded the path; decoding it twice would make one name of two.
    status, body, _ = ask("/health/a b%41/../c", method="GET")
    assert (status, body["use_case"]) == (503, "a b%41/../c")
    assert ask("/health/x", method="GET", failure=UnknownName("nobody"))[:2] == (404, {"error": "nobody"})
