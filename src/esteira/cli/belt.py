"""Reach the flows from a terminal: by name, on the running Prefect server where there is one."""

import importlib
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from esteira.errors import ReleaseError, UnknownName
from esteira.settings import prepare_environment, settings
from esteira.stores import processes

FLOWS = ("ingest", "train", "validate", "precompute", "monitor", "retain")


def flow(name: str) -> Any:
    """The flow of this name. Raises UnknownName."""
    if name not in FLOWS:
        raise UnknownName.among("flow", name, FLOWS, "Each has a file in flows/.")
    return getattr(importlib.import_module(f"flows.{name}"), name)


def run(name: str, use_case: str, as_of: datetime, *, plain: bool) -> Any:
    """Run a flow, under Prefect or as ordinary Python, and return its record. Raises UnknownName."""
    if plain:
        from flows.plain import run as run_plainly

        return run_plainly(flow(name), use_case, as_of)
    return flow(name)(use_case=use_case, as_of=as_of)


def use_running_server() -> None:
    """Make the home, and record runs on this machine's Prefect server if it answers; else Prefect starts one.

    Must be called before Prefect is imported, because it reads its settings then.
    """
    # A refusal is told once, by the command, not by Prefect's log as well.
    prepare_environment(PREFECT_LOGGING_LEVEL="CRITICAL")
    settings().home.mkdir(parents=True, exist_ok=True)  # Prefect's own home lies in it
    api = f"http://127.0.0.1:{settings().prefect_port}/api"
    if "PREFECT_API_URL" not in os.environ and processes.answers(f"{api}/health"):
        os.environ["PREFECT_API_URL"] = api


def told(record: BaseModel) -> list[str]:
    """What a flow's record says, a line a fact: plain values, totals of counts, and the sentences of verdicts."""
    lines: list[str] = []
    for name, value in record:
        title = name.replace("_", " ")
        if isinstance(value, Mapping) and all(isinstance(each, int) for each in value.values()):
            lines.append(
                f"{title}: {sum(value.values()):,} ({', '.join(f'{n:,} {each}' for each, n in value.items())})"
            )
        elif sentences := value if isinstance(value, tuple) else getattr(value, "sentences", None):
            lines += [f"{title}:", *(f"  {each}" for each in sentences if isinstance(each, str))]
        elif isinstance(value, str | int | float | datetime):
            lines.append(f"{title}: {value}")
    return lines


def require_passed(record: BaseModel) -> None:
    """Raise ReleaseError when the record holds a verdict that refused: whoever scripts the belt must notice."""
    from flows.validate import Validated

    if isinstance(record, Validated) and record.verdict is not None and not record.verdict.passed:
        raise ReleaseError(
            f"{record.outcome}. What is live stays as it was. Every check: esteira verdicts show {record.use_case} "
            f"{record.challenger}"
        )
