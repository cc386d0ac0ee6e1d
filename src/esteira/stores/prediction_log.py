"""The prediction log of one process: every answer is on disk before it is given.

Each process appends to a segment of its own, a file of JSON lines. One thread writes: whatever answers are waiting go
out in one write and one sync (group commit), then all their callers are told. An answer whose line is torn by a crash
was therefore never given, and readers leave it out. A segment is locked while it may still grow, and from before it
bears its name, so that a collector can tell it from one that is finished or whose process is gone.
"""

import fcntl
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from pydantic_core import to_json

from esteira.errors import DataError
from esteira.model_card import Frozen
from esteira.settings import settings

SEGMENT = ".jsonl"
_SEGMENT_BYTES = 64 * 1024 * 1024


class LoggedPrediction(Frozen):
    """One answer and everything needed to explain and remake it."""

    prediction_id: str
    use_case: str
    release: int
    model_version: str
    feature_service: str
    entity_id: str
    as_of: datetime
    """The moment the features were read for."""
    requested_at: datetime
    """When it was asked, by the service's clock."""
    horizon: datetime | None
    """Up to which moment the feature tables had been ingested then, as far as the service knew."""
    source: str
    """``computed``, or ``cached`` for an answer precomputed by a flow."""
    prediction: float
    decision: bool | None
    inputs: dict[str, Any]
    """Entity keys and request inputs, as the online store was asked."""
    features: dict[str, Any]
    event_times: dict[str, datetime | None]
    """Per view, when the values read were true."""
    created_times: dict[str, datetime | None]
    """Per view, when the values read had become known."""


_Waiting = tuple[bytes, Future[None]]


class PredictionLog:
    """The segments of this process for one use case; safe to share between threads."""

    def __init__(self, use_case: str, *, started_at: datetime) -> None:
        """Open the first segment. Raises DataError when the folder cannot be written."""
        self.use_case = use_case
        self.failure: str | None = None
        """Why the last write failed, until one succeeds."""
        self._prefix = f"{socket.gethostname()}-{os.getpid()}-{started_at:%Y%m%dT%H%M%S}"
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._open_segment()
        self._thread = threading.Thread(target=self._write_until_closed, name=f"prediction-log-{use_case}", daemon=True)
        self._thread.start()

    def write(self, predictions: Sequence[LoggedPrediction]) -> Future[None]:
        """Hand over the predictions of one answer; the future is done once they are on disk.

        The future raises DataError when they could not be written: the answer must then not be given.
        """
        lines = b"".join(to_json(each) + b"\n" for each in predictions)
        done: Future[None] = Future()
        self._queue.put((lines, done))
        return done

    def close(self) -> None:
        """Write what is waiting and finish the segment."""
        self._queue.put(None)
        self._thread.join()

    def _write_until_closed(self) -> None:
        closing = False
        while not closing:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            closing = None in batch
            self._commit([each for each in batch if each is not None])
        os.close(self._file)

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            self._append(b"".join(lines for lines, _ in batch))
        except (OSError, DataError) as error:
            self.failure = f"{getattr(error, 'strerror', None) or error} ({self._path.parent})"
            refusal = DataError(
                f"The prediction log of {self.use_case!r} cannot be written: {self.failure}. No prediction was given, "
                "because it could not be traced. Free space or repair the folder; the service recovers by itself."
            )
            for _, done in batch:
                done.set_exception(refusal)
            return
        self.failure = None
        for _, done in batch:
            done.set_result(None)

    def _append(self, lines: bytes) -> None:
        if self._size >= _SEGMENT_BYTES:
            full = self._file
            self._open_segment()  # the full one stays in use when this fails
            os.close(full)
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(self._file, view) :]
            _sync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)  # half a batch must not precede the next one
            raise
        self._size += len(lines)

    def _open_segment(self) -> None:
        folder = segments_path(self.use_case)
        path = folder / f"{self._prefix}-{uuid4().hex[:12]}{SEGMENT}"
        unlocked = path.with_suffix(".new")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
            fcntl.flock(file, fcntl.LOCK_EX)
            unlocked.rename(path)
            _sync_folder(folder)
        except OSError as error:
            raise DataError(
                f"Cannot open a segment of the prediction log in {folder}: {error.strerror}. "
                "Give the service a folder it may write to: ESTEIRA_HOME."
            ) from error
        self._path, self._file, self._size = path, file, 0


def segments_path(use_case: str) -> Path:
    """The folder with a use case's segments."""
    return settings().prediction_log_path / use_case


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
