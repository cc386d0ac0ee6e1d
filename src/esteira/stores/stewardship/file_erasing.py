"""Erase an entity from files: logged answers that wait to be collected, training sets, profiles."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esteira.settings import settings
from esteira.stewardship.traces import Traces
from esteira.stores.answers import prediction_log
from esteira.stores.model_store import splits, training_sets
from esteira.stores.stewardship import byte_scan


def erase_logged(traces: Traces) -> int:
    """Take the entity out of every line of the log segments, and remove files kept apart that name it; how many.

    A service may still be writing: it only appends, so a line is overwritten where it stands, by what is left of it
    and spaces, which readers skip; collectors are kept out meanwhile.
    """
    root, erased = settings().prediction_log_path, 0
    for path in byte_scan.places(root, traces.texts) if root.is_dir() else ():
        if path.suffix == ".jsonl":
            with _only_collector(path.parent):
                erased += _erase_answers(path, traces) if path.exists() else 0
        elif traces.in_json(path.read_text(errors="replace")):
            path.unlink()
            erased += 1
    return erased


def erase_training_rows(traces: Traces) -> dict[str, int]:
    """Rewrite every training set without the entity's rows: file name -> rows erased, of those that had any."""
    erased = {}
    for path in training_sets.unfinished():  # should its writer live, it fails and is run again by its flow
        path.unlink(missing_ok=True)
    for path in training_sets.paths():
        rows = training_sets.load(path)
        doomed = traces.condition(rows.schema)
        if count := rows.select(doomed.sum()).item():
            training_sets.replace(path, rows.filter(~doomed))
            splits.record_again(path, rows.filter(~doomed))
            erased[path.name] = count
    return erased


def erase_profiles(traces: Traces) -> int:
    """Remove profiles that hold a value of the entity (of a category that is not masked); how many.

    A window's profile is made again by the next monitor run that looks at it.
    """
    found = [
        path
        for root in (settings().profiles_path, settings().home / "statistics")
        if root.is_dir()
        for path in byte_scan.places(root, traces.texts)
    ]
    for path in found:
        path.unlink()
    return len(found)


def _erase_answers(segment: Path, traces: Traces) -> int:
    erased = 0
    with segment.open("r+b") as file:
        whole = file.read()
        place = 0
        for line in whole[: whole.rfind(b"\n") + 1].splitlines(keepends=True):
            if traces.in_json(line.decode(errors="replace")):
                left, count = prediction_log.without(line, traces.are_in)
                os.pwrite(file.fileno(), left.ljust(len(line) - 1), place)
                erased += count
            place += len(line)
        os.fsync(file.fileno())
    return erased


@contextmanager
def _only_collector(folder: Path) -> Iterator[None]:
    with (folder / "collector.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
