"""A full disk, told as what it is whoever met it: Python, Delta, Polars or SQLite each say it in words of their own."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from esteira.errors import DiskFull, EsteiraError
from esteira.settings import settings

_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WORDS = ("no space left on device", "disk quota exceeded", "file too large", "database or disk is full")


@contextmanager
def full_disk_told(what: str) -> Iterator[None]:
    """Raise DiskFull, naming ``what`` was not written, where the block fails for lack of room; else as it fails.

    Whoever writes within the block leaves nothing half-written behind: this only says why it failed.
    """
    try:
        yield
    except EsteiraError:
        raise
    except Exception as error:
        if not _is_full(error):
            raise
        raise DiskFull(
            f"{what} could not be written: the disk or quota under {settings().home} is full ({_room()}), "
            f"or that of temporary files ({tempfile.gettempdir()}). What was "
            "there before is as it was. Make room (the retain flow removes what is old), then run the same again: it "
            "goes on from what is there."
        ) from error


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NUMBERS:
            return True
        # Delta, Polars and SQLite give no number.
        if any(words in str(error).lower() for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _room() -> str:
    try:
        usage = shutil.disk_usage(settings().home)
    except OSError:
        return "its size cannot be read"
    return f"{usage.free / 1e6:,.1f} of {usage.total / 1e6:,.1f} MB free"
