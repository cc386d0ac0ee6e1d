"""Profiles of what was served, as files: one per release, window and segment, there whole or not at all.

The name of a file says what it profiles and how many rows: what is profiled again after more rows came replaces what
was kept, and is never counted twice. The bytes carry their own checksum (see ``monitoring/profile.py``), which every
reader of them verifies.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from esteira.contract import utc
from esteira.errors import InputError, MissingData
from esteira.settings import settings
from esteira.stores.whole_files import write_whole

_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_SUFFIX = ".profile"


@dataclass(frozen=True, order=True)
class StoredWindow:
    """What one stored profile is of: ``rows`` predictions with ``start < as_of <= end``. Windows sort by time."""

    start: datetime
    end: datetime
    release: int
    segment: str = ""
    """The value of the use case's segment column; empty when it has none, or the request did not bring it."""
    rows: int = 0

    @property
    def name(self) -> str:
        """As it is kept, without the folder of its use case."""
        moments = f"{utc(self.start).strftime(_MOMENT)}_{utc(self.end).strftime(_MOMENT)}"
        return f"{self.release}/{moments}_{self.rows}_{quote(self.segment, safe='')}{_SUFFIX}"


def save(use_case: str, window: StoredWindow, profile: bytes) -> Path:
    """Keep the profile of a window, replacing what was kept of the same rows and of fewer; return the file.

    Raises:
        InputError: the window is empty or its moments have no time zone.
    """
    if window.end <= window.start:
        raise InputError(
            f"A window cannot end at {window.end.isoformat()} when it starts at {window.start.isoformat()}. "
            "Give its start first, then its later end."
        )
    path = write_whole(_folder(use_case) / window.name, profile)
    moments, _, segment = path.name.rsplit("_", 2)
    for earlier in path.parent.glob(f"{moments}_*"):
        if earlier != path and earlier.name.rsplit("_", 2)[2] == segment:
            earlier.unlink(missing_ok=True)
    return path


def load(use_case: str, window: StoredWindow) -> bytes:
    """The profile of a window. Raises MissingData when none was saved."""
    try:
        return (_folder(use_case) / window.name).read_bytes()
    except FileNotFoundError as error:
        raise MissingData(
            f"No profile of {use_case!r}, release {window.release}, from {utc(window.start).isoformat()} to "
            f"{utc(window.end).isoformat()} with {window.rows} rows. {len(list_windows(use_case))} windows are kept "
            f"under {_folder(use_case)}. Run the monitor for that window."
        ) from error


def list_windows(use_case: str, release: int | None = None) -> list[StoredWindow]:
    """The windows a profile is kept of, oldest first, of one release or of all; none is an empty list."""
    found = _folder(use_case).glob(f"{'*' if release is None else release}/[!.]*{_SUFFIX}")
    return sorted(read_name(f"{path.parent.name}/{path.name}") for path in found)


def remove(use_case: str, window: StoredWindow) -> None:
    """Remove the profile of a window; removing it twice is once."""
    (_folder(use_case) / window.name).unlink(missing_ok=True)


def read_name(name: str) -> StoredWindow:
    """The window that is kept under ``name``."""
    release, _, file = name.partition("/")
    start, end, rows, segment = file.removesuffix(_SUFFIX).split("_", 3)
    return StoredWindow(_read_moment(start), _read_moment(end), int(release), unquote(segment), int(rows))


def _folder(use_case: str) -> Path:
    return settings().profiles_path / use_case


def _read_moment(text: str) -> datetime:
    return datetime.strptime(text, _MOMENT).replace(tzinfo=UTC)
