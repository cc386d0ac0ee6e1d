"""A process that ingests the flights undisturbed, twice at the same time, and on a disk that becomes full.

Run by ``test_ingest_edges.py``; prints what came of each as JSON. The parent only imports, which takes longest: threads
would not survive a fork.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from esteira.contract import utc
from esteira.errors import DataError, DiskFull
from esteira.settings import settings
from esteira.stores.data import tables
from flows import plain
from flows.ingest import ingest as flow

FIRST, SECOND = "2013-02-01T05:00:00Z", "2013-02-15T05:00:00Z"
LITTLE = 800_000
"""Room for some tables of the second slice, in bytes, but not for all."""
_fork = multiprocessing.get_context("fork")


def main(folder: Path, disk: str) -> None:
    told = {
        "undisturbed": in_fork(folder / "undisturbed", lambda: (ingest(FIRST), ingest(SECOND), fingerprint())[-1]),
        "outcomes": [at_once(folder / "both", moment) for moment in (FIRST, SECOND)],
        "both": in_fork(folder / "both", fingerprint),
    }
    if disk:
        told |= in_fork(Path(disk), lambda: on_a_disk_that_becomes_full(Path(disk)))
    sys.stdout.write(json.dumps(told))


def ingest(moment: str) -> None:
    plain.run(flow, "flight_delay", utc(moment))


def fingerprint() -> str:
    """Of every row of every table, and how far each has come."""
    found = hashlib.sha256()
    for name in tables.names():
        rows = tables.read(name)
        found.update(f"{name} {rows.schema} {tables.horizon(name)}".encode())
        found.update(rows.sort(rows.columns).write_csv().encode())
    return found.hexdigest()


def at_once(home: Path, moment: str) -> list[object]:
    """Let two processes ingest the same at the same time, then one again; what the two told."""
    gate = _fork.Barrier(2)

    def one() -> str:
        gate.wait()
        try:
            ingest(moment)
        except DataError as error:
            return str(error)
        return "done"

    started = [begin(home, one) for _ in range(2)]
    outcomes = [finish(*each) for each in started]
    in_fork(home, lambda: ingest(moment))
    return outcomes


def on_a_disk_that_becomes_full(home: Path) -> dict[str, object]:
    ingest(FIRST)
    ballast = home / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(home).free - LITTLE)
    refused = ""
    try:
        ingest(SECOND)
    except DiskFull as error:
        refused = str(error)
    reached = {str(tables.horizon(name)) for name in tables.names()}
    ballast.unlink()
    ingest(SECOND)
    return {"refused": refused, "reached": sorted(reached), "disk": fingerprint()}


def in_fork(home: Path, work: Callable[[], object]) -> Any:
    return finish(*begin(home, work))


def begin(home: Path, work: Callable[[], object]) -> tuple[ForkProcess, Connection]:
    answers, ours = _fork.Pipe(duplex=False)

    def child() -> None:
        os.environ["ESTEIRA_HOME"] = str(home)
        settings.cache_clear()
        ours.send(work())

    process = _fork.Process(target=child)
    process.start()
    ours.close()
    return process, answers


def finish(process: ForkProcess, answers: Connection) -> Any:
    told = answers.recv()  # raises EOFError when the child has failed; it has said why
    process.join()
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
