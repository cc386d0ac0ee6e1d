"""Which code this is: the checkout's commit, and a digest that also tells uncommitted states apart."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from esteira.settings import settings

DIRTY = "-dirty"
NO_COMMIT = "no-commit"
_FOLDERS = ("src", "flows", "feature_repo")
_KINDS = {".py", ".yaml"}


def commit() -> str:
    """The checkout's commit, ending in ``-dirty`` when tracked files differ from it; ``no-commit`` without git."""
    git = shutil.which("git")
    if git is None:
        return NO_COMMIT
    described = subprocess.run(
        [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=settings().repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or NO_COMMIT


def digest(root: Path | None = None) -> str:
    """SHA-256 over the names and contents of all code under ``root`` (default: this checkout) that makes a model."""
    base = root or settings().repository
    found = hashlib.sha256()
    for folder in _FOLDERS:
        for file in sorted((base / folder).rglob("*")):
            if file.suffix in _KINDS and file.is_file():
                found.update(f"{file.relative_to(base).as_posix()}\n".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def lock_digest(root: Path | None = None) -> str:
    """SHA-256 of the lock file that names every library's version."""
    return hashlib.sha256(((root or settings().repository) / "requirements.lock").read_bytes()).hexdigest()
