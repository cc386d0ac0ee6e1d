"""A stored model is rebuilt from what its card names, and compared byte for byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from esteira.cli import app
from esteira.errors import ModelError
from esteira.settings import REPOSITORY
from esteira.stores import code
from esteira.stores.model_store import models
from esteira.stores.model_store.models import Model
from flows.steps.reproduction import rebuild
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]


def test_the_belts_model_is_rebuilt_byte_for_byte(belt: Belt) -> None:
    shown = CliRunner().invoke(app, ["reproduce", f"flight_delay:{belt.challenger}"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "is the same, value for value" in shown.output
    assert "byte for byte what is stored" in shown.output


def test_a_model_that_comes_out_otherwise_is_a_failure_that_names_the_files(
    belt: Belt, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = models.load(belt.use_case.name, belt.challenger)
    parameters = {**stored.card.parameters, "trees": 20}
    other = stored.card.model_copy(update={"parameters": parameters, "code_sha256": "0", "code_commit": "c-dirty"})

    def load(*_: Any, **__: Any) -> Model:
        return Model(other, stored.card_sha256, stored.pipeline, stored.path, stored.attachments)

    monkeypatch.setattr(models, "load", load)
    found = rebuild(belt.use_case.name, belt.challenger)
    assert not found.is_same
    told = " ".join(found.sentences)
    assert "uncommitted changes, which no commit holds" in told
    assert "trees.ubj: the card says SHA-256" in told
    assert "differs from what is stored" in told
    with pytest.raises(ModelError, match="could not be reproduced"):
        CliRunner().invoke(app, ["reproduce", belt.challenger, "--this-code"], catch_exceptions=False)


@pytest.mark.skipif(
    shutil.which("git") is None or not (REPOSITORY / ".git").exists(), reason="only a git checkout holds its commits"
)
def test_other_code_checks_out_the_commit_that_the_card_names(belt: Belt, tmp_path: Path) -> None:
    if models.load(belt.use_case.name, belt.challenger).card.code_commit.endswith(code.DIRTY):
        pytest.skip("the belt was trained on uncommitted changes, which no commit holds")
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(REPOSITORY), str(other)], check=True)
    with (other / "src" / "esteira" / "encoding.py").open("a") as file:
        file.write("\n# a later thought\n")
    shown = subprocess.run(
        [sys.executable, "-c", "from esteira.cli import main; main()", "reproduce", f"flight_delay:{belt.challenger}"],
        cwd=other, env={**os.environ, "ESTEIRA_HOME": str(belt.home), "PYTHONPATH": f"{other / 'src'}:{other}"},
        check=False, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "that commit is checked out" in " ".join(shown.stdout.split())
    assert "byte for byte what is stored" in shown.stdout
