"""A process that registers, packs and promotes a model again and again, in forks of itself that are killed on the way.

Run by ``test_release_crashes.py`` under ``crash_points.c``, as ``tests/stores/data/crashing_intake.py`` is. What
BentoML does in a process of its own (writing a bento into a home in staging) is done here by writing the same kind of
files, so that each write of it is a crash point too.
"""

import ctypes
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bentoml
import yaml

from esteira.contract import utc
from esteira.settings import settings
from esteira.stores import audit
from esteira.stores.model_store import models
from esteira.stores.releases import bentos, ledger
from tests.serving.models import card, linear_pipeline, logistic_pipeline
from tests.stores.data.crashing_intake import fork, in_a_fork

NAME = "flight_delay"
MODELS = {
    "m1": (logistic_pipeline(), card(version="m1")),
    "m2": (linear_pipeline(), card(version="m2", kind="regression")),
}


def main(folder: Path, share: int, shares: int, kills: int) -> None:
    """Prepare a home, try every crash point, then random moments; exit non-zero at the first broken promise."""
    shim = ctypes.CDLL(None)
    template, points = folder / "template", folder / "points"
    make_repository(folder / "repository")
    os.environ["ESTEIRA_REPOSITORY"] = str(folder / "repository")
    bentos._run_bentoml = write_bento
    in_a_fork(template, lambda: release("m1"))

    def count() -> None:
        shim.crash_before(ctypes.c_long(0))
        release("m2")
        points.write_text(str(shim.crash_calls()))

    started = time.monotonic()
    shutil.copytree(template, folder / "counted")
    in_a_fork(folder / "counted", count)
    taken = time.monotonic() - started
    total = int(points.read_text())
    seen = {"before": 0, "after": 0}
    for point in range(1 + share, total + 1, shares):
        seen[trial(folder, template, lambda point=point: shim.crash_before(ctypes.c_long(point)), None)] += 1
    chance = random.Random(2013 + share)
    for _ in range(kills // shares):
        seen[trial(folder, template, lambda: None, chance.uniform(0, taken))] += 1
    sys.stdout.write(f"{total} {seen['before']} {seen['after']}\n")


def release(version: str) -> ledger.Release:
    """Register, pack, promote and label, as the validate flow does; done again it changes nothing."""
    pipeline, described = MODELS[version]
    stored = models.save(pipeline, described, {})
    model = models.load(NAME, stored.version)
    follows = ledger.live(NAME).id if ledger.is_released(NAME) else 0
    proposal = ledger.Proposal.of(
        model, follows=follows, actor="test", reason="test", evidence={"passed": True}, at=utc("2013-03-01")
    )
    bentos.build(NAME, proposal)
    if follows and ledger.live(NAME).card_sha256 == model.card_sha256:
        live = ledger.live(NAME)
    else:
        live = ledger.append(proposal, follows=follows)
    bentos.label_live(NAME, live)
    return live


def write_bento(arguments: list[str], home: Path, *, cwd: Path) -> None:
    """What ``bentoml build --version V`` leaves in a home: a folder with a description and what was included."""
    target = home / "bentos" / NAME / arguments[-1]
    target.mkdir(parents=True)
    for piece in ("src", "models"):
        shutil.copytree(cwd / piece, target / "src" / piece)
    (target / "bento.yaml").write_text(yaml.safe_dump({"name": NAME, "version": arguments[-1], "labels": {}}))


def trial(folder: Path, template: Path, arm: Callable[[], object], delay: float | None) -> str:
    """Kill one release, look at what it left, finish it; whether it left the first or the second release live."""
    home = folder / "trial"
    shutil.copytree(template, home)

    def killed() -> None:
        arm()
        release("m2")

    child = fork(home, killed)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = folder / "left"
    in_a_fork(home, lambda: left.write_text(look_and_finish()))
    shutil.rmtree(home)
    return left.read_text()


def look_and_finish() -> str:
    was = require_whole()
    assert release("m2").model_version == "m2"
    assert require_whole() == "m2", "finishing did not finish"
    assert [each.model_version for each in ledger.releases(NAME)] == ["m2", "m1"], "a release was lost or doubled"
    released = [each.details["model"] for each in audit.entries(action="released")]
    assert released == ["m1", "m2"], f"the audit log tells of {released}"
    assert [each for each in bentos.live_labels(NAME).values() if each] == ["2"], "labels differ from the ledger"
    return "after" if was == "m2" else "before"


def require_whole() -> str:
    """Exactly one whole release is live, and every store can be listed and read; return its model's version."""
    audit.verify()
    live = ledger.live(NAME)
    models.load(NAME, live.model_version, card_sha256=live.card_sha256)
    listed = models.versions(NAME)
    assert [each.version for each in models.cards(NAME)] == listed
    assert live.model_version in listed
    for version in listed:
        models.load(NAME, version)
    assert {each.tag.version for each in bentoml.models.list()} == set(listed), "BentoML cannot list its models"
    packed = bentos.live_labels(NAME)
    assert any(bentos.is_of(version, live) for version in packed), "what is live has no bento"
    for version in packed:
        folder = settings().bentoml_path / "bentos" / NAME / version
        models.load_from(next((folder / "src" / "models" / NAME).iterdir()))
        assert (folder / "src" / "src" / "esteira" / "code.py").read_text() == CODE, "half a bento"
    return live.model_version


CODE = "VALUE = 1\n" * 10


def make_repository(repository: Path) -> None:
    for file in ("src/esteira/code.py", f"bentos/{NAME}/service.py", "bentos/__init__.py", "feature_repo/views.py"):
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        (repository / file).write_text(CODE)
    (repository / "requirements.lock").write_text("nothing\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
