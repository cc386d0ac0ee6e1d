"""Steps that other packages bring: each runs as a task at the end of the flow it names, and its outputs are kept.

A package registers one by an entry point of the group ``esteira.steps``. Its name is ``<flow>.<step>``, its value a
function of the use case's name, the moment and the flow's record, which returns named outputs::

    [project.entry-points."esteira.steps"]
    "train.count_words" = "my_package.steps:count_words"
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from esteira.errors import InputError
from flows.steps.step import step

GROUP = "esteira.steps"
FLOWS = ("ingest", "train", "validate", "precompute", "monitor")
"""The flows that run them."""


@lru_cache(maxsize=1)
def registered() -> tuple[EntryPoint, ...]:
    """Every plugged step. Raises InputError for a name that is none, or is taken twice."""
    found = sorted(entry_points(group=GROUP))
    for place, each in enumerate(found):
        flow, dot, name = each.name.partition(".")
        if flow not in FLOWS or not dot or not name.isidentifier():
            raise InputError(
                f"The step {each.name!r} of {each.value} belongs to no flow. Expected <flow>.<step>, the flow one of "
                f"{', '.join(FLOWS)} (entry points {GROUP}). Correct its name, or uninstall its package."
            )
        if any(each.name == other.name for other in found[:place]):
            raise InputError(f"Two packages register a step {each.name!r} (entry points {GROUP}). Uninstall one.")
    return tuple(found)


def run_plugged(flow: str, use_case: str, as_of: datetime, record: BaseModel) -> dict[str, Mapping[str, Any]]:
    """Run every step that is plugged into ``flow``; step -> its outputs. What a step raises stops the flow."""
    outputs = {}
    for each in registered():
        of, _, name = each.name.partition(".")
        if of == flow:
            outputs[name] = _sound(each, step(each.load())(use_case, as_of, record))
    return outputs


def _sound(registered: EntryPoint, outputs: Any) -> Mapping[str, Any]:
    try:
        if isinstance(outputs, Mapping) and json.dumps(outputs, allow_nan=False):
            return outputs
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"The step {registered.name!r} ({registered.value}) returned {outputs!r:.200}. Expected a mapping of names to "
        "what JSON can hold: numbers, text, lists of them."
    )
