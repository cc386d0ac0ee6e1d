"""Run flows as ordinary Python: no server, no retries, no artifacts, no events; the tables and models are the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

_PLAIN: ContextVar[bool] = ContextVar("plain", default=False)


def is_plain() -> bool:
    """Whether steps are to run as the functions they are."""
    return _PLAIN.get()


@contextmanager
def plain_python() -> Iterator[None]:
    """Within the block, steps called by ``run`` are plain function calls."""
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def run(flow: Any, use_case: str, as_of: datetime, **more: Any) -> Any:
    """Run ``flow`` (an object of flows/, such as ``flows.ingest.ingest``) without Prefect; return its record.

    What a flow would raise under Prefect it raises here.
    """
    with plain_python():
        return flow.fn(use_case, as_of, **more)
