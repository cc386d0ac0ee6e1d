"""The lock of a bento: of what requirements.lock pins, only what its service needs."""

import importlib.metadata
import re
from collections.abc import Collection

from packaging.requirements import Requirement

SERVED_WITH = (
    "bentoml", "deltalake", "feast", "hiredis", "httpx", "numpy", "pandas", "polars", "prometheus-client", "psutil",
    "psycopg", "psycopg-binary", "pyarrow", "pydantic", "pydantic-settings", "pyyaml", "redis", "scikit-learn", "scipy",
    "skops", "sqlalchemy", "uvicorn", "xgboost", "xgboost-cpu",
)  # fmt: skip
"""What a service imports of the packed code's parts. What those use only if it happens to be there is left out."""


def trimmed(lock: str) -> str:
    """The entries of ``lock`` (requirements with hashes) that ``SERVED_WITH`` needs, on whatever platform."""
    needed = _needed(SERVED_WITH)
    entries = re.split(r"(?m)^(?=\S)", lock)
    return "".join(each for each in entries if _name(re.split(r"[=\s;\[]", each, maxsplit=1)[0]) in needed)


def _needed(roots: Collection[str]) -> set[str]:
    found: dict[str, set[str]] = {}
    left = [(name, frozenset[str]()) for name in roots]
    while left:
        name, extras = left.pop()
        name = _name(name)
        if name in found and extras <= found[name]:
            continue
        found[name] = found.get(name, set()) | extras
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
        for each in map(Requirement, requires):
            # Markers of platforms are not looked at: the lock is for all of them. Those of extras are.
            asks = re.findall(r"extra == [\"']([^\"']+)[\"']", str(each.marker or ""))
            if not asks or found[name] & set(asks):
                left.append((each.name, frozenset(each.extras)))
    return set(found)


def _name(written: str) -> str:
    return re.sub(r"[-_.]+", "-", written).lower()
