"""The belt under three process time zones, over a night on which clocks change: every output is the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, child_environment

ZONES = ("UTC", "America/New_York", "Asia/Kathmandu")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("zones")]


def test_the_process_time_zone_changes_no_output_of_the_belt(tmp_path: Path) -> None:
    running = []
    for zone in ZONES:
        home = tmp_path / zone.replace("/", "-")
        environment = child_environment(ESTEIRA_HOME=str(home), ESTEIRA_CLOCK="belt", TZ=zone)
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.flows.zoned_belt"],
                env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    told = [(*each.communicate(), each.returncode) for each in running]
    assert [code for *_, code in told] == [0, 0, 0], [err for _, err, _ in told]
    in_utc, *others = (json.loads(out) for out, *_ in told)
    assert in_utc["skew"].startswith("0 of "), "online and offline are the same"
    for zone, other in zip(ZONES[1:], others, strict=True):
        assert {name: value for name, value in other.items() if value != in_utc[name]} == {}, zone
