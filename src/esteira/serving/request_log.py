"""Logs of a service: one JSON object a line, each with the request it belongs to, none with what a caller sent.

Only these fields are ever written. The message of an exception may repeat a restricted value that a caller sent, so of
an exception only its type and places are told, and its words if they are our own.
"""

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO
from uuid import uuid4

from esteira.errors import EsteiraError, InputError

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being answered; empty outside of any."""

_GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LOGGERS = ("esteira", "bentoml", "uvicorn", "uvicorn.error")


def name_request(given: bytes | None) -> str:
    """Give the request under way a name, the caller's own if it is harmless; return it."""
    name = given.decode() if given is not None and _GIVEN.fullmatch(given) else uuid4().hex
    request_id.set(name)
    return name


class JsonLines(logging.Formatter):
    """Records as JSON objects."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get() or None,
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            told["exception"] = type(error).__name__
            if isinstance(error, EsteiraError) and not isinstance(error, InputError):
                told["said"] = str(error)
            told["at"] = [
                f"{place.filename}:{place.lineno} {place.name}"
                for place in traceback.extract_tb(error.__traceback__, limit=-12)
            ]
        return json.dumps(told)


def write_json_logs(stream: TextIO = sys.stderr) -> None:
    """Let everything this process logs, ours and the framework's, go to ``stream`` as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        if name == "esteira":
            logger.setLevel(logging.INFO)
