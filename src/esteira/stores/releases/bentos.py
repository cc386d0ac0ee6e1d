"""Bentos: a release packed with its code and model, and the commands that serve it.

A bento's folder looks like the repository (``src/esteira``, ``bentos``, ``feature_repo``) with the model beside it,
so that the packed code finds everything where the checkout's does. State (ledger, online store, log) stays outside,
in ESTEIRA_HOME.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from esteira.errors import ReleaseError
from esteira.model_card import Frozen
from esteira.settings import child_environment, settings
from esteira.stores.model_store import models
from esteira.stores.releases.ledger import Proposal, Release
from esteira.stores.releases.serving_lock import trimmed
from esteira.stores.whole_files import write_whole

_LEFT_OUT = ("__pycache__", "*.pyc", ".*")
_NOT_SERVING = ("training", "monitoring", "data", "cli", "conformance", "scaffold")
_SECONDS = 120
_DESCRIPTION, _LIVE = "bento.yaml", "live_release"


class BuiltBento(Frozen):
    """Where a bento lies and what it is called."""

    tag: str
    path: Path


def build(use_case: str, release: Proposal) -> BuiltBento:
    """Build the bento of a release, or of one that is only proposed, offline.

    It is named ``<use case>:<model version>-<digest of all that is packed>``, so building the same thing again returns
    what is there. Raises ReleaseError with BentoML's words when it cannot be built.
    """
    model = models.load(use_case, release.model_version, card_sha256=release.card_sha256)
    staging = settings().bentoml_path / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    # The context lies in the system's folder for such things: BentoML refuses paths with a hidden folder like .esteira.
    with tempfile.TemporaryDirectory(dir=staging) as folder, tempfile.TemporaryDirectory(prefix="bento-") as laid_out:
        context, home = Path(laid_out), Path(folder)
        _lay_out(context, use_case, model.path)
        (context / "bentofile.yaml").write_text(json.dumps(_description(use_case, release)))
        version = f"{release.model_version}-{_digest(context)[:8]}"
        stored = settings().bentoml_path / "bentos" / use_case / version
        bento = BuiltBento(tag=f"{use_case}:{version}", path=stored)
        if not bento.path.is_dir():
            _run_bentoml(["build", "--version", version], home, cwd=context)
            bento.path.parent.mkdir(parents=True, exist_ok=True)
            # BentoML's own store is written piece by piece; a rename shows a bento whole or not at all.
            try:
                (home / "bentos" / use_case / version).rename(bento.path)
            except OSError:
                if not bento.path.is_dir():  # otherwise somebody built the same thing first
                    raise
    return bento


def export(bento: BuiltBento, folder: Path) -> Path:
    """Write the bento as one archive file into ``folder``; elsewhere ``bentoml import`` takes it in."""
    target = folder / f"{bento.tag.replace(':', '-')}.bento"
    _run_bentoml(["export", bento.tag, str(target)], settings().bentoml_path, cwd=folder)
    return target


def live_labels(use_case: str) -> dict[str, str | None]:
    """Version -> the release as which the bento is labelled live, of every stored bento of a use case."""
    return {path.name: _read_description(path)["labels"].get(_LIVE) for path in _stored(use_case)}


def is_of(version: str, release: Release) -> bool:
    """Whether the bento of this version packs the model of ``release``."""
    return version.rpartition("-")[0] == release.model_version


def label_live(use_case: str, release: Release) -> None:
    """Label the bentos of a release as live, and no others."""
    for path in _stored(use_case):
        description = _read_description(path)
        wanted = {name: each for name, each in description["labels"].items() if name != _LIVE}
        if is_of(path.name, release):
            wanted[_LIVE] = str(release.id)
        if wanted != description["labels"]:
            write_whole(
                path / _DESCRIPTION, yaml.safe_dump({**description, "labels": wanted}, sort_keys=False).encode()
            )


def serve_command(bento: str, *, host: str, port: int) -> list[str]:
    """The command that serves a bento, named by its tag or its folder."""
    return [sys.executable, "-m", "bentoml", "serve", bento, "--host", host, "--port", str(port)]


def serve_environment(use_case: str, *, workers: int = 1) -> dict[str, str]:
    """The environment for ``serve_command``. BentoML ignores its own option --api-workers for services of this kind."""
    return child_environment(BENTOML_CONFIG_OPTIONS=f"services.{use_case}.workers={workers}")


def wait_ready(url: str, *, seconds: float = 60) -> None:
    """Wait until the service at ``url`` has a verified release. Raises ReleaseError with its last words."""
    deadline = time.monotonic() + seconds
    last = "nothing answered"
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 - our own service
                return
        except (URLError, OSError) as error:
            last = error.read().decode(errors="replace") if hasattr(error, "read") else str(error)
        time.sleep(0.1)
    raise ReleaseError(f"The service at {url} is not ready after {seconds:.0f} s: {last}. Its log says more.")


def _stored(use_case: str) -> list[Path]:
    return sorted(each.parent for each in (settings().bentoml_path / "bentos" / use_case).glob(f"*/{_DESCRIPTION}"))


def _read_description(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((path / _DESCRIPTION).read_text())
    return read


def _run_bentoml(arguments: list[str], home: Path, *, cwd: Path) -> None:
    # A process of its own: building imports the packed service, and this process may hold another version of it.
    run = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        cwd=cwd,
        env=child_environment(BENTOML_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if run.returncode != 0:
        last = "\n  ".join((run.stderr or run.stdout).splitlines()[-8:])
        raise ReleaseError(f"bentoml {' '.join(arguments)} failed with code {run.returncode}. It wrote:\n  {last}")


def _lay_out(context: Path, use_case: str, model: Path) -> None:
    repository = settings().repository
    plain, source = shutil.ignore_patterns(*_LEFT_OUT), repository / "src" / "esteira"

    def code(folder: str, names: list[str]) -> set[str]:
        rooms = set(_NOT_SERVING) if Path(folder) == source else set()
        return plain(folder, names) | rooms

    shutil.copytree(source, context / "src" / "esteira", ignore=code)
    shutil.copytree(repository / "bentos" / use_case, context / "bentos" / use_case, ignore=plain)
    for shared in sorted((repository / "bentos").glob("*.py")):
        shutil.copy(shared, context / "bentos" / shared.name)
    shutil.copytree(settings().feature_repo_path, context / "feature_repo", ignore=plain)
    shutil.copytree(model, context / "models" / use_case / model.name)
    (context / "requirements.lock").write_text(trimmed((repository / "requirements.lock").read_text()))


def _description(use_case: str, release: Proposal) -> dict[str, object]:
    return {
        "service": f"bentos.{use_case}.service:service",
        "name": use_case,
        "labels": {
            "model_version": release.model_version,
            "card_sha256": release.card_sha256,
            "feature_service": release.feature_service,
        },
        "include": ["src/", "bentos/", "feature_repo/", "models/", "requirements.lock"],
        # The lock is ours; resolving again would need the network and could find other versions.
        "python": {"requirements_txt": "requirements.lock", "lock_packages": False, "is_src_layout": False},
    }


def _digest(folder: Path) -> str:
    packed = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        packed.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return packed.hexdigest()
