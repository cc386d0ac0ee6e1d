"""Which code this is: the checkout's commit, and a digest that also tells uncommitted states apart."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esteira import use_cases
from esteira.errors import MissingData
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
    """SHA-256 over the names and contents of all code that makes a model.

    That is the code under ``root`` (default: this checkout), and use cases which other packages bring.
    """
    base = root or settings().repository
    found = hashlib.sha256()
    own = [(base, base / folder) for folder in _FOLDERS]
    for start, folder in (*own, *((each.parent, each) for each in use_cases.outside_folders())):
        for file in sorted(folder.rglob("*")):
            if file.suffix in _KINDS and file.is_file():
                found.update(f"{file.relative_to(start).as_posix()}\n".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def lock_digest(root: Path | None = None) -> str:
    """SHA-256 of the lock file that names every library's version."""
    return hashlib.sha256(((root or settings().repository) / "requirements.lock").read_bytes()).hexdigest()


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of ``commit``, for as long as the block lasts; this checkout is left alone.

    Raises MissingData when there is no git, or this checkout does not hold that commit.
    """
    git = shutil.which("git")
    advice = f"Fetch it into {settings().repository}, or work from a checkout that has it."
    if git is None or commit.startswith(NO_COMMIT):
        raise MissingData(f"The code of commit {commit!r} cannot be had: there is no git, or was none then. {advice}")
    plain = commit.removesuffix(DIRTY)
    with tempfile.TemporaryDirectory(prefix="esteira-code-") as folder:
        packed = Path(folder) / "code.tar"
        archived = subprocess.run(
            [git, "archive", "--format=tar", f"--output={packed}", plain],
            cwd=settings().repository, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if archived.returncode:
            raise MissingData(f"Commit {plain!r} cannot be checked out: {archived.stderr.strip()}. {advice}")
        root = Path(folder) / "code"
        with tarfile.open(packed) as archive:
            archive.extractall(root, filter="data")
        yield root
