"""Ingest where the world is unkind: another ingest at the same time, a full disk."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from esteira.contract import utc
from esteira.settings import REPOSITORY, child_environment
from tests.flows.unkind_ingest import FIRST, SECOND

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("unkind")]
CAN_MOUNT = shutil.which("unshare") and not subprocess.run(["unshare", "-rm", "true"], check=False).returncode


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the ingests, in one process that imports once."""
    folder = tmp_path_factory.mktemp("unkind")
    disk = folder / "disk"
    disk.mkdir()
    command = [sys.executable, "-m", "tests.flows.unkind_ingest", str(folder), str(disk) if CAN_MOUNT else ""]
    mount = f'mount -t tmpfs -o size=64m tmpfs {disk} && exec "$@"'
    small = ["unshare", "-rm", "sh", "-c", mount, "sh"] if CAN_MOUNT else []
    ran = subprocess.run(
        [*small, *command],
        env=child_environment(ESTEIRA_HOME=str(folder)), cwd=REPOSITORY, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_of_two_ingests_at_once_each_is_done_or_says_who_was_first(told: dict[str, Any]) -> None:
    for outcomes in told["outcomes"]:
        assert "done" in outcomes
        assert all(each == "done" or "at the same time" in each for each in outcomes), outcomes


def test_two_ingests_at_once_leave_what_one_leaves(told: dict[str, Any]) -> None:
    assert told["both"] == told["undisturbed"]


@pytest.mark.skipif(not CAN_MOUNT, reason="needs a small disk of its own: unshare with mounts")
def test_a_full_disk_fails_the_ingest_and_the_next_run_goes_on_from_what_was_there(told: dict[str, Any]) -> None:
    assert "could not be written: the disk or quota" in told["refused"]
    assert told["reached"] == [str(utc(FIRST)), str(utc(SECOND))], "some tables came in whole, others not at all"
    assert told["disk"] == told["undisturbed"]
