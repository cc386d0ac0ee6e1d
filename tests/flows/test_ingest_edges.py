"""Ingest where the world is unkind: another time zone, a full disk."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, child_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INGEST = """
import hashlib, sys
import polars as pl
from esteira.contract import utc
from esteira.errors import EsteiraError
from esteira.stores.data import tables
from flows.steps import data as steps

def ingest(moment):
    steps.append_raw.fn("flight_delay", utc(moment))
    steps.append_features.fn("flight_delay", utc(moment))

def fingerprint():
    found = hashlib.sha256()
    for name in tables.names():
        rows = tables.read(name)
        found.update(f"{name} {rows.schema} {tables.horizon(name)}".encode())
        found.update(rows.sort(rows.columns).write_csv().encode())
    return found.hexdigest()
"""


def run(code: str, home: Path, *before: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", INGEST + code],
        env=child_environment(ESTEIRA_HOME=str(home), **more), cwd=REPOSITORY, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


def test_the_process_time_zone_changes_nothing(tmp_path: Path) -> None:
    # New York's clocks change between the two.
    code = "ingest('2013-03-09T05:00:00Z'); ingest('2013-03-11T17:00:00Z'); print(fingerprint())"
    found = {}
    for zone in ("UTC", "America/New_York", "Asia/Kathmandu"):
        told = run(code, tmp_path / zone.replace("/", "-"), TZ=zone)
        assert told.returncode == 0, told.stderr
        found[zone] = told.stdout.strip()
    assert len(set(found.values())) == 1, found


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0,
    reason="needs a small disk of its own: unshare with mounts",
)
def test_a_full_disk_fails_the_ingest_and_leaves_what_was_there(tmp_path: Path) -> None:
    home = tmp_path / "disk"
    home.mkdir()
    code = """
ingest("2013-01-02T05:00:00Z")
before = fingerprint()
try:
    steps.append_raw.fn("flight_delay", utc("2013-04-01"))
except Exception as error:
    print("No space left" in str(error))
print(before == fingerprint() or all(
    tables.horizon(name) in (utc("2013-01-02T05:00:00Z"), utc("2013-04-01")) for name in tables.names()
))
print(tables.read("arrivals").height)
"""
    small = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=4m tmpfs {home} && exec "$@"', "sh"]
    told = run(code, home, *small)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.split("\n")
    assert lines[0] == "True", told.stdout
    assert lines[1] == "True", "a table stands where no slice ended"
    assert int(lines[2]) > 500
