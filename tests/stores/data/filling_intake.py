"""A process that takes one slice in again and again on a small disk of its own, each time with a little more room.

Run by ``test_intake_full_disk.py``; a ballast fills the disk. A full disk must be told, and leave the table as before
or as after, and no file that nobody refers to.
"""

import os
import shutil
import sys
from pathlib import Path

from deltalake import DeltaTable

from esteira.errors import DiskFull
from esteira.settings import settings
from esteira.stores.data import tables
from tests.stores.data.crashing_intake import look_and_finish, prepare, take_in

PAGE = 4096


def main(folder: Path, step: int) -> None:
    """Try with room for nothing, then ``step`` bytes more at a time, until an intake has come through five times."""
    template = folder / "template"
    move_to(template)
    prepare()
    refused = through = room = 0
    left = {"before": 0, "after": 0}
    while through < 5:
        home = folder / str(room)
        shutil.copytree(template, home)
        move_to(home)
        fill(folder / "ballast", room)
        try:
            take_in(home)
            through += 1
        except DiskFull:
            refused += 1
        finally:
            (folder / "ballast").unlink()
        left[look(home)] += 1
        shutil.rmtree(home)
        room += step
    sys.stdout.write(f"{refused} {left['before']} {left['after']}\n")


def move_to(home: Path) -> None:
    os.environ["ESTEIRA_HOME"] = str(home)
    settings.cache_clear()


def fill(ballast: Path, room: int) -> None:
    """Leave only so much room on the disk."""
    free = shutil.disk_usage(ballast.parent).free - room
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free // PAGE * PAGE)


def look(home: Path) -> str:
    """What was left, before and after finishing it."""
    hidden = [each for each in (home / "statistics").rglob(".*") if each.is_file()]
    assert not hidden, f"half-written files: {hidden}"
    for name in tables.names():
        stored = DeltaTable(str(home / "tables" / name))
        stray = stored.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False, full=True)
        known = {Path(each).name for version in range(stored.version() + 1) for each in files(home, name, version)}
        assert {Path(each).name for each in stray} <= known, f"table {name}: files that no version knows: {stray}"
    return look_and_finish(home)


def files(home: Path, name: str, version: int) -> list[str]:
    return list(DeltaTable(str(home / "tables" / name), version=version).file_uris())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
