import io
import json
import logging
from collections.abc import Iterator

import pytest

from esteira.errors import InvalidRequest, ModelError
from esteira.serving.request_log import name_request, request_id, write_json_logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    names = ("", "esteira", "bentoml", "uvicorn", "uvicorn.error")
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in names}
    level = logging.getLogger("esteira").level
    logging.getLogger("uvicorn.error").disabled = False  # a server that another test started may have silenced it
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    stream = io.StringIO()
    write_json_logs(stream)
    yield stream
    for name, (handlers, propagate) in before.items():
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    logging.getLogger("esteira").setLevel(level)
    request_id.set("")


@pytest.mark.parametrize("logger", ["esteira.serving", "bentoml.serve", "uvicorn.error", "anybody"])
def test_every_line_is_json_and_names_the_request(written: io.StringIO, logger: str) -> None:
    name_request(b"r-1")
    logging.getLogger(logger).warning('first "line"\nand %s', "second")
    (line,) = written.getvalue().splitlines()
    told = json.loads(line)
    assert (told["request_id"], told["level"], told["logger"]) == ("r-1", "warning", logger)
    assert told["message"] == 'first "line"\nand second'


@pytest.mark.parametrize("failure", [ValueError("N0CANARY"), KeyError("N0CANARY"), InvalidRequest("N0CANARY")])
def test_what_a_caller_sent_is_not_in_the_log_of_a_failure(written: io.StringIO, failure: Exception) -> None:
    try:
        raise failure
    except Exception:
        logging.getLogger("esteira.serving").exception("Request failed")
    told = json.loads(written.getvalue())
    assert told["exception"] == type(failure).__name__
    assert told["at"][0].endswith("test_what_a_caller_sent_is_not_in_the_log_of_a_failure")
    assert "N0CANARY" not in written.getvalue()


def test_our_own_words_about_a_failure_are_told(written: io.StringIO) -> None:
    logging.getLogger("esteira.serving").error("Request failed", exc_info=ModelError("needs the columns ['gust']"))
    assert json.loads(written.getvalue())["said"] == "needs the columns ['gust']"
