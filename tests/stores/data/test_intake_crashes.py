"""A slice that is killed at any point leaves the table as before or as after, and is finished without loss."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, child_environment


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("cc") is None or sys.platform != "linux", reason="needs a C compiler and LD_PRELOAD")
def test_a_kill_at_every_crash_point_and_at_two_hundred_random_moments_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    shim = tmp_path / "crash_points.so"
    source = Path(__file__).with_name("crash_points.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True)
    single = {"POLARS_MAX_THREADS": "1", "TOKIO_WORKER_THREADS": "1"}  # a fork starts its threads anew
    tried = []
    for share in ("0", "1"):
        (tmp_path / share).mkdir()
        tried.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.stores.data.crashing_intake", str(tmp_path / share), share, "2"],
                env=child_environment(LD_PRELOAD=str(shim), **single), cwd=REPOSITORY,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    told = [(*each.communicate(), each.returncode) for each in tried]
    assert [code for _, _, code in told] == [0, 0], told
    before = after = 0
    for share, (out, _, _) in enumerate(told):
        points, left_before, left_after = (int(each) for each in out.split())
        assert points > 30
        assert left_before + left_after == (points + 1 - share) // 2 + 100, "every second point, and half of the 200"
        before, after = before + left_before, after + left_after
    assert min(before, after) > 10, "the kills fell on both sides of the commit"
