"""The Feast repository as files: the checkout's own folder, and those that installed use cases bring along."""

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from esteira import use_cases
from esteira.settings import settings
from esteira.stores.clock import online_writer

if TYPE_CHECKING:
    from feast.repo_contents import RepoContents


def folders() -> tuple[Path, ...]:
    """Every folder with Feast definitions, the checkout's first."""
    brought = (each / "feature_repo" for each in use_cases.outside_folders())
    return (settings().feature_repo_path, *(each for each in brought if each.is_dir()))


@contextlib.contextmanager
def parsed() -> Iterator["RepoContents"]:
    """Everything that is declared in all folders, each object once; its modules can be imported within the block."""
    from feast.repo_contents import RepoContents  # noqa: PLC0415 - Feast takes seconds, and the digest does without
    from feast.repo_operations import parse_repo  # noqa: PLC0415

    whole = RepoContents(*([] for _ in RepoContents._fields))
    with _importable():
        for folder in folders():
            with contextlib.chdir(folder):  # Feast names modules by their way from here
                for found, declared in zip(whole, parse_repo(folder), strict=True):
                    found += [each for each in declared if not any(each is other for other in found)]
        yield whole


def digest() -> str:
    """SHA-256 over the files of all folders, and over what they depend on besides."""
    # Sources name paths under home, and applying prepares the online store.
    found = hashlib.sha256(f"{settings().home} {online_writer()}".encode())
    for folder in folders():
        for file in sorted([*folder.glob("*.py"), *folder.glob("*.yaml")]):
            found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


@contextlib.contextmanager
def _importable() -> Iterator[None]:
    # Feast imports the files as top-level modules. Python would keep them, with the paths of this home.
    every = folders()
    sys.path[:0] = [str(each) for each in every]
    try:
        yield
    finally:
        for folder in every:
            sys.path.remove(str(folder))
            for file in folder.glob("*.py"):
                sys.modules.pop(file.stem, None)
