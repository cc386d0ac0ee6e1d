"""The adopting guide is true: its commands, run as they stand in a fresh checkout, end in a served model."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY
from esteira.stores.processes import free_port, running

FOLDERS = ("src", "flows", "bentos", "feature_repo")
FILES = ("prefect.yaml", "pyproject.toml", "requirements.lock")


def blocks() -> list[str]:
    """The guide's shell commands, in order."""
    return re.findall(r"```sh\n(.*?)```", (REPOSITORY / "docs" / "adopting.md").read_text(), flags=re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, with this environment as its own."""
    folder = tmp_path / "checkout"
    for each in FOLDERS:
        shutil.copytree(REPOSITORY / each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
    for each in FILES:
        shutil.copy(REPOSITORY / each, folder / each)
    # Not a link to the whole environment: its esteira is this checkout's.
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "esteira").write_text(f"#!{sys.executable}\nfrom esteira.cli import main\nmain()\n")
    (scripts / "esteira").chmod(0o755)
    libraries = next(Path(each) for each in sys.path if each.endswith("site-packages"))
    (folder / ".venv" / "lib" / libraries.parent.name).mkdir(parents=True)
    (folder / ".venv" / "lib" / libraries.parent.name / "site-packages").symlink_to(libraries)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_guide_does_what_it_says(checkout: Path) -> None:
    port = str(free_port(3100))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ESTEIRA_")} | {
        "PYTHONPATH": f"{checkout / 'src'}:{checkout}",
        "ESTEIRA_SERVICE_PORT": port,
        "ESTEIRA_HOME": str(checkout / "home"),
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", script], cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    init, edit, check, flows, serve, ask = blocks()
    assert "new    bentos/hourly_wind/service.py" in run(init)
    for task in ("check --ignore S108", "format --check"):  # pytest's folder is a temporary one
        run(f"{sys.executable} -m ruff {task} --no-cache .")
    run(edit)
    assert '"high": 120.0' in (checkout / "src/esteira/use_cases/hourly_wind/schema.json").read_text()
    assert "(0.0, 120.0)" in (checkout / "src/esteira/use_cases/hourly_wind/__init__.py").read_text()
    assert re.search(r"hourly_wind keeps all \d\d laws\.", run(check))
    told = run(flows)
    assert "quarantined rows: 1 (1 hourly_wind_rows)" in told  # the wind of 1,048 miles an hour
    assert "Release 1" in told
    with _serving(serve, checkout, environment, port):
        (answer,) = json.loads(run(ask.replace("localhost:3000", f"localhost:{port}")))["predictions"]
    low, high = answer["interval"]
    assert 0 <= low < answer["prediction"] < high <= 120
    assert (answer["entity_id"], answer["source"], answer["release"]) == ("JFK@2013-06-01T00:00:00Z", "computed", 1)


def _serving(command: str, checkout: Path, environment: dict[str, str], port: str) -> AbstractContextManager[int]:
    script = ["bash", "-ec", f"cd {checkout}; export {' '.join(_exports(environment))}; exec env {command}"]
    return running("adopted", script, ready_url=f"http://127.0.0.1:{port}/readyz")


def _exports(environment: dict[str, str]) -> list[str]:
    return [f"{name}='{environment[name]}'" for name in ("PYTHONPATH", "ESTEIRA_SERVICE_PORT", "ESTEIRA_HOME")]
