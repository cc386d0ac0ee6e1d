"""A log that several processes write: whoever hands over lines learns when they are on disk.

Each process appends to a segment of its own, a file of JSON lines. One thread writes: whatever is waiting goes out in
one write and one sync (group commit), then all who handed it over are told. A line torn by a crash was therefore never
confirmed. A segment is locked while it may still grow, and from before it bears its name, so that a collector can tell
it from one that is finished or whose process is gone.

A segment in which a write failed is never continued: a collector may already have read what was taken back, and would
miss whatever came to lie in the same place.
"""

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple
from uuid import uuid4

from esteira.errors import DataError

SEGMENT = ".jsonl"
_SEGMENT_BYTES = 64 * 1024 * 1024
_PROBE_SECONDS = 1.0
_PROBE = b" " * 4095 + b"\n"
"""Written to learn whether a disk is back; readers skip blank lines."""
_HEADROOM_BYTES = 16 * 1024 * 1024
"""A disk that was full counts as free again from here on (or a hundredth of it): otherwise service flaps."""


class _Waiting(NamedTuple):
    lines: bytes
    number: int
    done: "Future[None]"


class SegmentLog:
    """The segments of this process in one folder; safe to share between threads."""

    def __init__(self, folder: Path, *, name: str, started_at: datetime, drops: bool = False) -> None:
        """Open the first segment; when that fails, ``failure`` says so and it is tried again.

        ``name`` is what refusals call this log. With ``drops`` lines that cannot be written are counted in ``dropped``
        and confirmed nevertheless.
        """
        self.failure: str | None = None
        """Why nothing can be written, until it can be."""
        self.dropped = 0
        """How many lines were given up since the start."""
        self._folder = folder
        self._name = name
        self.drops = drops
        self._prefix = f"{socket.gethostname()}-{os.getpid()}-{started_at:%Y%m%dT%H%M%S}"
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._file: int | None = None
        try:
            self._open_segment()
        except OSError as error:
            self._fail(error)
        self._thread = threading.Thread(target=self._write_until_closed, name=name.replace(" ", "-"), daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many writes are not on disk yet."""
        return self._queue.qsize()

    def write(self, lines: bytes, *, count: int) -> "Future[None]":
        """Hand over ``count`` whole lines; the future is done once they are on disk.

        The future raises DataError when they could not be written, unless this log drops what it cannot write.
        """
        done: Future[None] = Future()
        self._queue.put(_Waiting(lines, count, done))
        return done

    def close(self) -> None:
        """Write what is waiting and finish the segment."""
        self._queue.put(None)
        self._thread.join()

    def _write_until_closed(self) -> None:
        closing = False
        while not closing:
            try:
                batch = [self._queue.get(timeout=_PROBE_SECONDS if self.failure else None)]
            except Empty:
                self._commit([_Waiting(_PROBE, 0, Future())])
                continue
            while not self._queue.empty():
                batch.append(self._queue.get())
            closing = None in batch
            if given := [each for each in batch if each is not None]:
                self._commit(given)
        if self._file is not None:
            os.close(self._file)

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            if self.failure is not None:
                self._require_headroom()
            self._append(b"".join(each.lines for each in batch))
        except OSError as error:
            self._fail(error)
            self._refuse(batch)
            return
        self.failure = None
        for each in batch:
            each.done.set_result(None)

    def _refuse(self, batch: Sequence[_Waiting]) -> None:
        if self.drops:
            self.dropped += sum(each.number for each in batch)
            for each in batch:
                each.done.set_result(None)
            return
        refusal = DataError(
            f"The {self._name} cannot be written: {self.failure}. Nothing was answered, because it could not be "
            "traced. Free space or repair the folder; the service recovers by itself."
        )
        for each in batch:
            each.done.set_exception(refusal)

    def _fail(self, error: OSError) -> None:
        self.failure = f"{error.strerror or error} ({self._folder})"

    def _require_headroom(self) -> None:
        disk = os.statvfs(self._folder)
        if disk.f_bavail < min(_HEADROOM_BYTES // disk.f_frsize, disk.f_blocks // 100):
            raise OSError(f"only {disk.f_bavail * disk.f_frsize:,} bytes are free")

    def _append(self, lines: bytes) -> None:
        if self._file is None or self._size >= _SEGMENT_BYTES:
            full = self._file
            self._open_segment()  # the full one stays in use when this fails
            if full is not None:
                os.close(full)
        assert self._file is not None  # noqa: S101 - opened above
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(self._file, view) :]
            _sync(self._file)
        except OSError:
            self._abandon(self._file)
            raise
        self._size += len(lines)

    def _abandon(self, file: int) -> None:
        with contextlib.suppress(OSError):  # what cannot be taken back is collected although it was not answered
            os.ftruncate(file, self._size)
            if self._size == 0:
                self._path.unlink()
        self._file = None
        os.close(file)

    def _open_segment(self) -> None:
        path = self._folder / f"{self._prefix}-{uuid4().hex[:12]}{SEGMENT}"
        unlocked = path.with_suffix(".new")
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            unlocked.rename(path)
            _sync_folder(self._folder)
        except OSError:
            os.close(file)
            unlocked.unlink(missing_ok=True)
            raise
        self._path, self._file, self._size = path, file, 0


def is_growing(segment: Path) -> bool:
    """Whether a living process still writes ``segment``."""
    with segment.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# macOS has no fdatasync; fsync does more than is needed, and enough.
_sync = getattr(os, "fdatasync", os.fsync)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
