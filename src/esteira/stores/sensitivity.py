"""Which columns are restricted, and the key under which their values are masked.

A column is restricted when an entity or a field of that name bears the tag ``sensitivity`` in feature_repo; it is then
restricted wherever a column of that name stands: raw tables, training sets, the prediction log.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import polars as pl

from esteira.settings import settings
from esteira.stewardship import masking
from esteira.stores import features


def restricted_columns() -> dict[str, str]:
    """Column -> ``pii`` or ``restricted``."""
    return features.sensitive_columns()


def mask(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with every restricted value masked, for all that is not a store: profiles, cards, screens, logs."""
    return masking.mask_frame(frame, restricted_columns(), mask_key())


def token(column: str, value: object) -> str:
    """A name for one value of a column from which the value cannot be found, in 64 hexadecimal digits."""
    return masking.token(f"{column}={value}", mask_key())


def mask_key() -> bytes:
    """The key of this home: made on first use, readable by its owner only, never changed.

    Without it masks cannot be compared any more, and forgotten entities are not recognised when they come again.
    """
    return _read_key(settings().home / "mask.key")


@lru_cache(maxsize=4)
def _read_key(path: Path) -> bytes:
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
