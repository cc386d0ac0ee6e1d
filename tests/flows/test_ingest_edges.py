"""Ingest where the world is unkind: another time zone, a full disk."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esteira.settings import REPOSITORY, child_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIRST, SECOND = "2013-02-01T05:00:00Z", "2013-02-15T05:00:00Z"
INGEST = (
    f"FIRST, SECOND = {FIRST!r}, {SECOND!r}"
    + """
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
)


def run(code: str, home: Path, *before: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", INGEST + code, str(home)],
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
def test_a_full_disk_fails_the_ingest_and_the_next_run_goes_on_from_what_was_there(tmp_path: Path) -> None:
    home = tmp_path / "disk"
    home.mkdir()
    code = """
import shutil
from pathlib import Path
from esteira.errors import DiskFull
ingest(FIRST)
ballast = Path(sys.argv[1], "ballast")
ballast.write_bytes(bytes(shutil.disk_usage(sys.argv[1]).free - 800_000))
try:
    ingest(SECOND)
except DiskFull as error:
    print(error)
standing = {tables.horizon(name) for name in tables.names()}
print(standing <= {utc(FIRST), utc(SECOND)} and len(standing))
ballast.unlink()
ingest(SECOND)
print(fingerprint())
"""
    small = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=64m tmpfs {home} && exec "$@"', "sh"]
    told = run(code, home, *small)
    assert told.returncode == 0, told.stderr
    refused, standing, after = told.stdout.splitlines()
    assert "could not be written" in refused
    assert standing == "2", "some tables came in whole, the others not at all"
    other = run("ingest(FIRST); ingest(SECOND); print(fingerprint())", tmp_path / "undisturbed")
    assert after == other.stdout.strip(), other.stderr
