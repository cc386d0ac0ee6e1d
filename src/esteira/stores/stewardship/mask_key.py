"""The key of this home under which values are masked: made on first use, readable by its owner only, never changed.

Without it masks cannot be compared any more, and forgotten entities are not recognised when they come again.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from esteira.settings import settings
from esteira.stewardship import masking


def mask_key() -> bytes:
    """The key, 32 bytes."""
    return _read(settings().home / "mask.key")


def token(column: str, value: object) -> str:
    """A name for one value of a column from which the value cannot be found, in 64 hexadecimal digits."""
    return masking.token(f"{column}={value}", mask_key())


@lru_cache(maxsize=4)
def _read(path: Path) -> bytes:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{uuid4().hex}")
        descriptor = os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(staged, path)  # of two processes that meet a new home, the first one's key is everybody's
        except FileExistsError:
            pass
        finally:
            staged.unlink()
    return path.read_bytes()
