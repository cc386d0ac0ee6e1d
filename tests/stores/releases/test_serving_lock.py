import re

from esteira.settings import REPOSITORY
from esteira.stores.releases.serving_lock import SERVED_WITH, trimmed

LOCK = (REPOSITORY / "requirements.lock").read_text()


def names(lock: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9-]+)(?:\[[^\]]*\])?==", lock))


def test_the_lock_of_a_bento_has_what_it_serves_with_and_nothing_that_moves_trains_or_tests() -> None:
    kept = names(trimmed(LOCK))
    assert {name for name in SERVED_WITH if name in names(LOCK)} <= kept
    assert {"starlette", "pydantic-core", "joblib"} <= kept, "and what that needs"
    assert not kept & {"prefect", "mlflow", "whylogs", "optuna", "fairlearn", "onnx", "onnxruntime", "pytest", "ruff"}
    assert len(kept) < len(names(LOCK))


def test_entries_are_kept_as_they_are_with_their_hashes() -> None:
    kept = trimmed(LOCK)
    for entry in re.split(r"(?m)^(?=\S)", kept):
        assert entry in LOCK
        assert not entry or "--hash=sha256:" in entry
