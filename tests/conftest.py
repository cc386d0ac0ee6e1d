"""What every test gets: a home of its own, so that no test sees another's state or the developer's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from esteira.settings import prepare_environment, settings

prepare_environment()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home for the belt's state, for this test only."""
    monkeypatch.setenv("ESTEIRA_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()
