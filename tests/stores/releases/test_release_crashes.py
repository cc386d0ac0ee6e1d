"""A release that is killed at any point leaves one whole release live, every store readable, and can be finished."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, child_environment


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.skipif(shutil.which("cc") is None or sys.platform != "linux", reason="needs a C compiler and LD_PRELOAD")
def test_a_kill_at_every_crash_point_and_at_random_moments_leaves_one_whole_release(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--random-kills")
    shim = tmp_path / "crash_points.so"
    source = REPOSITORY / "tests" / "stores" / "data" / "crash_points.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True)
    single = {
        "POLARS_MAX_THREADS": "1",
        "TOKIO_WORKER_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    tried = []
    for share in ("0", "1"):
        (tmp_path / share).mkdir()
        tried.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.stores.releases.crashing_release", str(tmp_path / share), share, "2",
                 str(kills)],
                env=child_environment(
                    LD_PRELOAD=str(shim), BENTOML_HOME=str(tmp_path / share / "trial" / "bentoml"), **single
                ),
                cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    told = [(*each.communicate(), each.returncode) for each in tried]
    assert [code for _, _, code in told] == [0, 0], told
    before = after = 0
    for share, (out, _, _) in enumerate(told):
        points, left_before, left_after = (int(each) for each in out.split())
        assert points > 60
        assert left_before + left_after == (points + 1 - share) // 2 + kills // 2, "every second point, and the rest"
        before, after = before + left_before, after + left_after
    assert min(before, after) > 5, "the kills fell on both sides of the ledger's commit"
