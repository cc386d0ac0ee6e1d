import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from esteira.settings import REPOSITORY, TELEMETRY_OFF, Settings, child_environment, settings


def test_settings_come_from_the_environment_and_stay_as_they_are(home: Path) -> None:
    assert settings().home == home
    with pytest.raises(ValidationError):
        settings().threads = 9  # type: ignore[misc]


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_LEDGER_URL", "postgresql://ana:hunter2@localhost/ledger")
    shown = Settings()
    assert "hunter2" not in repr(shown)
    assert "hunter2" not in shown.model_dump_json()
    assert shown.ledger == "postgresql://ana:hunter2@localhost/ledger"


def test_an_unknown_name_in_the_env_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ESTEIRA_THREEDS=4\n")
    with pytest.raises(ValidationError, match="threeds"):
        Settings(_env_file=tmp_path / ".env")  # type: ignore[call-arg]


def test_every_setting_is_in_the_example() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    for name in Settings.model_fields:
        if name != "repository":
            assert f"ESTEIRA_{name.upper()}" in example, name


def test_importing_anything_switches_telemetry_off_before_vendors_read_it() -> None:
    bare = {name: value for name, value in os.environ.items() if name not in TELEMETRY_OFF}
    code = "import esteira.errors, os; print({name: os.environ.get(name) for name in %r})" % list(TELEMETRY_OFF)  # noqa: UP031
    printed = subprocess.run(
        [sys.executable, "-c", code], env=bare, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == str(TELEMETRY_OFF)


def test_children_are_told_where_state_lives(home: Path) -> None:
    told = child_environment(EXTRA="1")
    assert told["ESTEIRA_HOME"] == str(home)
    assert told["BENTOML_HOME"].startswith(str(home))
    assert told["PREFECT_HOME"].startswith(str(home))
    assert told["EXTRA"] == "1"
