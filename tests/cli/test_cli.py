import os
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY


def esteira(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from esteira.cli import main; main()", *words],
        env={**os.environ, "ESTEIRA_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_verb(home: Path) -> None:
    shown = esteira(home, "--help").stdout
    for verb in ("demo", "flow", "serve", "ui", "rollback", "releases"):
        assert verb in shown


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("flow", "train", "flight_dely", "--as-of", "2013-03-01"), 2, "Unknown use case 'flight_dely'. Known: flight"),
        (("flow", "trian", "flight_delay", "--as-of", "2013-03-01"), 2, "Unknown flow 'trian'. Known: ingest"),
        (("flow", "train", "flight_delay", "--as-of", "last week"), 2, "Cannot read 'last week' as a moment"),
        (
            ("train", "flight_delay", "--as-of", "2013-03-01", "--model", "trees"),
            2,
            "Unknown candidate 'trees'. Known:",
        ),
        (
            ("train", "flight_delay", "--as-of", "2013-03-01", "--tune-trials", "0"),
            2,
            "0 trials and 600 seconds allows",
        ),
        (("serve", "flight_delay"), 1, "Nothing is released for use case 'flight_delay'"),
        (("rollback", "flight_delay", "--reason", "alarms"), 1, "ingest, train and validate"),
        (("traffic", "flight_delay", "--split", "m2"), 2, "Say one of: --shadow MODEL, --split MODEL --share SHARE"),
        (("releases", "show", "flight_delay", "7"), 2, "Unknown release 7"),
        (("releases", "at", "flight_delay", "2013-03-01"), 1, "Nothing was released"),
    ],
)
def test_a_refusal_is_one_message_and_a_non_zero_exit(home: Path, words: tuple[str, ...], code: int, told: str) -> None:
    refused = esteira(home, *words)
    assert refused.returncode == code, refused.stderr
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (home / "tables").exists()


@pytest.mark.slow
def test_a_moment_outside_the_data_is_refused_through_the_whole_command(home: Path) -> None:
    refused = esteira(home, "flow", "ingest", "flight_delay", "--as-of", "2019-01-01")
    assert refused.returncode == 2
    assert "lies outside what source 'flights' holds" in refused.stderr
    assert not (home / "tables").exists()


def test_an_empty_ledger_is_listed_as_empty(home: Path) -> None:
    listed = esteira(home, "releases", "list")
    assert listed.returncode == 0
    assert "release" in listed.stdout
