"""Profiles of serving windows as files: one per use case, release and window, there whole or not at all.

The name of the file is the key of the window, so a window that is profiled again replaces itself and is never counted
twice. The bytes carry their own checksum (see ``monitoring/profile.py``), which every reader of them verifies.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from esteira.contract import utc
from esteira.errors import InputError, MissingData
from esteira.settings import settings
from esteira.stores.whole_files import write_whole

_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_SUFFIX = ".profile"


@dataclass(frozen=True, order=True)
class StoredWindow:
    """The key of one stored profile; windows sort by time."""

    start: datetime
    end: datetime
    release: int


def save(use_case: str, release: int, start: datetime, end: datetime, profile: bytes) -> Path:
    """Keep the profile of a window, replacing what was kept of it before; return the file.

    Raises:
        InputError: the window is empty or its moments have no time zone.
    """
    return write_whole(_path(use_case, StoredWindow(utc(start), utc(end), release)), profile)


def load(use_case: str, release: int, start: datetime, end: datetime) -> bytes:
    """The profile of a window. Raises MissingData when none was saved."""
    path = _path(use_case, StoredWindow(utc(start), utc(end), release))
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingData(
            f"No profile of {use_case!r}, release {release}, from {utc(start).isoformat()} to {utc(end).isoformat()}. "
            f"{len(list_windows(use_case))} windows are kept under {path.parents[1]}. Run the monitor for that window."
        ) from error


def list_windows(use_case: str, release: int | None = None) -> list[StoredWindow]:
    """The windows a profile is kept of, oldest first, of one release or of all; none is an empty list."""
    folder = settings().profiles_path / use_case
    return sorted(
        StoredWindow(_read_moment(start), _read_moment(end), int(path.parent.name))
        for path in folder.glob(f"{'*' if release is None else release}/[!.]*{_SUFFIX}")
        for start, end in [path.name.removesuffix(_SUFFIX).split("_")]
    )


def remove(use_case: str, window: StoredWindow) -> None:
    """Remove the profile of a window; removing it twice is once."""
    _path(use_case, window).unlink(missing_ok=True)


def _path(use_case: str, window: StoredWindow) -> Path:
    if window.end <= window.start:
        raise InputError(
            f"A window cannot end at {window.end.isoformat()} when it starts at {window.start.isoformat()}. "
            "Give its start first, then its later end."
        )
    name = f"{window.start.strftime(_MOMENT)}_{window.end.strftime(_MOMENT)}{_SUFFIX}"
    return settings().profiles_path / use_case / str(window.release) / name


def _read_moment(text: str) -> datetime:
    return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
