"""A copy of the feature repository that a test may change, applied to a home of its own."""

import shutil
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, settings
from tests.conftest import use_home


def use_repository(patch: pytest.MonkeyPatch, folder: Path, *, project: str = "esteira", planted: str = "") -> None:
    """Make a copy in ``folder`` the feature repository, with ``planted`` as one more file of it, on an empty home."""
    shutil.copytree(REPOSITORY / "feature_repo", folder / "feature_repo", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (folder / "feature_repo").glob("*.yaml"):
        file.write_text(file.read_text().replace("project: esteira", f"project: {project}"))
    if planted:
        (folder / "feature_repo" / "planted.py").write_text(planted)
    patch.setenv("ESTEIRA_REPOSITORY", str(folder))
    use_home(patch, folder / "home")
    assert settings().feature_repo_path == folder / "feature_repo"
