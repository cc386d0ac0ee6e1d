"""Reach the flows from a terminal: by name, on the running Prefect server where there is one."""

import importlib
import os
from typing import Any

from esteira.cli import servers
from esteira.errors import UnknownName
from esteira.settings import settings

FLOWS = ("ingest", "train", "validate", "precompute", "monitor")


def flow(name: str) -> Any:
    """The flow of this name. Raises UnknownName."""
    if name not in FLOWS:
        raise UnknownName.among("flow", name, FLOWS, "Each has a file in flows/.")
    return getattr(importlib.import_module(f"flows.{name}"), name)


def use_running_server() -> None:
    """Make the home, and record runs on this machine's Prefect server if it answers; else Prefect starts one.

    Must be called before Prefect is imported, because it reads its settings then.
    """
    settings().home.mkdir(parents=True, exist_ok=True)  # Prefect's own home lies in it
    api = f"http://127.0.0.1:{settings().prefect_port}/api"
    if "PREFECT_API_URL" not in os.environ and servers.answers(f"{api}/health"):
        os.environ["PREFECT_API_URL"] = api
