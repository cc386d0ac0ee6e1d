"""What a training run left behind, and where two runs differ: parameters, data, code, environment, metrics."""

from collections.abc import Mapping
from datetime import datetime

from esteira.model_card import Frozen

HIGHER_IS_BETTER = frozenset({"auc", "average_precision", "precision", "recall"})
DETAILS = ("importance/", "slices/")
"""Metrics by feature and by slice: many, and shown only on request."""
_DATA = ("as_of", "training_set", "training_set_sha256", "feature_service", "data_version/")
_CODE = ("code_commit", "code_sha256", "lock_sha256")
_ENVIRONMENT = ("python", "version/", "hardware")


class Run(Frozen):
    """One run as it was recorded; ``facts`` are all the words about it, such as versions and digests."""

    run_id: str
    use_case: str
    status: str
    started: datetime
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    facts: Mapping[str, str]

    @property
    def version(self) -> str:
        """The model it came to, or nothing."""
        return self.facts.get("model_version", "")

    @property
    def failure(self) -> str:
        """Why it came to no model, or nothing."""
        return self.facts.get("failed_because", "")


class Difference(Frozen):
    """One thing that is not the same in two runs; None where a run does not have it."""

    name: str
    first: str | None
    second: str | None
    change: float | None = None
    """Second minus first, where both are numbers."""


def differences(first: Run, second: Run, *, details: bool = False) -> dict[str, list[Difference]]:
    """Where two runs differ, by section: parameters, data, code, environment, metrics; equal things are left out.

    Metrics by feature and by slice are compared only with ``details``.
    """
    sections = {"parameters": _unequal(first.parameters, second.parameters)}
    for name, prefixes in (("data", _DATA), ("code", _CODE), ("environment", _ENVIRONMENT)):
        sections[name] = _unequal(_only(first.facts, prefixes), _only(second.facts, prefixes))
    sections["metrics"] = [
        Difference(name=name, first=_figure(before), second=_figure(after), change=_change(before, after))
        for name in _names(first.metrics, second.metrics)
        if details or not name.startswith(DETAILS)
        if (before := first.metrics.get(name)) != (after := second.metrics.get(name))
    ]
    return sections


def _only(facts: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {
        name: value
        for name, value in facts.items()
        if any(name.startswith(each) if each.endswith("/") else name == each for each in prefixes)
    }


def _unequal(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(name=name, first=first.get(name), second=second.get(name))
        for name in _names(first, second)
        if first.get(name) != second.get(name)
    ]


def _names(first: Mapping[str, object], second: Mapping[str, object]) -> list[str]:
    return [*first, *(name for name in second if name not in first)]


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
