"""Files that are there whole or not at all, also after a kill or, if asked for, a power cut."""

import os
from pathlib import Path
from uuid import uuid4

from esteira.stores.disk import full_disk_told


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> Path:
    """Write ``content`` to ``path``, replacing what was there, in one step that nobody sees half of; return it.

    What can be made again need not be ``durable``: it may be lost in a power cut, and saves two waits for the disk.
    Raises DiskFull when there is no room.
    """
    with full_disk_told(f"{path.name} in {path.parent}"):
        return _write_whole(path, content, durable=durable)


def _write_whole(path: Path, content: bytes, *, durable: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    if not durable:
        return path
    # Without this a power cut may forget the rename although the file itself was written.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path
