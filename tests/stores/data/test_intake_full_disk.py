"""A slice for which there is no room is refused, wherever the room ends, and comes in when there is some."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, child_environment

CAN_MOUNT = shutil.which("unshare") and not subprocess.run(["unshare", "-rm", "true"], check=False).returncode


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not CAN_MOUNT, reason="needs a small disk of its own: unshare with mounts")
def test_a_full_disk_refuses_the_slice_whole_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=3m tmpfs {tmp_path} && exec "$@"'
    filling = [sys.executable, "-m", "tests.stores.data.filling_intake", str(tmp_path), "4096"]
    told = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", *filling],
        env=child_environment(ESTEIRA_HOME=str(tmp_path)), cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    refused, before, after = (int(each) for each in told.stdout.split())
    assert refused > 10, "profile, quarantine, table and compaction were refused in turn"
    assert before > 10
    assert after >= 5
