"""Training sets as written Parquet files, named by what went into them."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from esteira.errors import MissingData, UnknownName
from esteira.settings import settings
from esteira.stewardship.groups import Group
from esteira.stores.disk import full_disk_told
from esteira.stores.stewardship.tombstones import without_forgotten
from esteira.stores.whole_files import write_whole

_AT = "%Y%m%dT%H%M%S"
_VERSIONS = "esteira.data_versions"


def save(use_case: str, rows: pl.DataFrame, *, as_of: datetime, data_versions: Mapping[str, int]) -> Path:
    """Write a training set whole or not at all; the same inputs give the same path."""
    made_of = f"{use_case}|{as_of.isoformat()}|{sorted(data_versions.items())}|{rows.columns}"
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    path = settings().training_sets_path / use_case / f"{as_of.strftime(_AT)}-{digest}.parquet"
    _write(path, without_forgotten(rows), data_versions)
    return path


def unfinished() -> list[Path]:
    """What killed writers left of training sets."""
    return sorted(settings().training_sets_path.glob("*/*.tmp"))


def of_use_case(use_case: str) -> list[tuple[Path, datetime]]:
    """The training sets of a use case, each with the moment it stands for, to the second."""
    return [
        (path, datetime.strptime(path.name.partition("-")[0], _AT).replace(tzinfo=UTC))
        for path in sorted((settings().training_sets_path / use_case).glob("*.parquet"))
    ]


def remove(use_case: str, name: str) -> None:
    """Remove the training set of this file name; removing it twice is once."""
    path = settings().training_sets_path / use_case / Path(name).name
    path.unlink(missing_ok=True)
    _groups(path).unlink(missing_ok=True)
    splits_file(path).unlink(missing_ok=True)


def replace(path: Path, rows: pl.DataFrame) -> None:
    """Put ``rows`` in place of a training set's, in one step."""
    _write(path, rows, data_versions(path))


def data_versions(path: Path) -> dict[str, int]:
    """The versions of the tables a training set was made from."""
    return dict(json.loads(pl.read_parquet_metadata(path)[_VERSIONS]))


def record_groups(path: Path, groups: Sequence[Group]) -> None:
    """Keep what was found of the groups in a training set beside it."""
    write_whole(_groups(path), json.dumps([each.model_dump() for each in groups], indent=1).encode())


def recorded_groups(path: Path) -> tuple[Group, ...]:
    """What was found of the groups in a training set. Raises MissingData when they were not judged."""
    if not _groups(path).is_file():
        raise MissingData(f"The groups of training set {path.name} were not judged. Run the train flow again.")
    return tuple(Group.model_validate(each) for each in json.loads(_groups(path).read_text()))


def _groups(path: Path) -> Path:
    return path.with_suffix(".groups.json")


def splits_file(path: Path) -> Path:
    """Where it is kept how a training set was split."""
    return path.with_suffix(".splits.json")


def paths() -> list[Path]:
    """Every training set, oldest first within its use case."""
    return sorted(settings().training_sets_path.glob("*/*.parquet"))


def find(use_case: str, name: str) -> Path:
    """The training set of this file name. Raises UnknownName."""
    known = [path.name for path, _ in of_use_case(use_case)]
    if name not in known:
        raise UnknownName.among(f"training set of {use_case}", name, known, "See: esteira data list")
    return settings().training_sets_path / use_case / name


def newest(use_case: str) -> Path:
    """The newest training set of a use case. Raises MissingData when there is none."""
    found = of_use_case(use_case)
    if not found:
        raise MissingData(f"There is no training set of {use_case!r}. Make one: esteira train {use_case}")
    return max(found, key=lambda each: (each[1], each[0].stat().st_mtime))[0]


def row_count(path: Path) -> int:
    """The rows of a training set, as its footer tells."""
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def digest(rows: pl.DataFrame) -> str:
    """SHA-256 over a training set's columns and values, in order; how they lie in memory or in a file does not matter.

    Polars' hashes of the values stand for them; they are the same on every run of the Polars version in the lock.
    """
    found = hashlib.sha256()
    for column in rows.iter_columns():
        found.update(f"{column.name}|{column.dtype}|{column.len()}\n".encode())
        found.update(column.hash(seed=0).to_numpy().tobytes())
    return found.hexdigest()


def _write(path: Path, rows: pl.DataFrame, versions: Mapping[str, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with full_disk_told(f"Training set {path.name}"), staged.open("wb") as file:
            rows.write_parquet(file, metadata={_VERSIONS: json.dumps(dict(versions))})
            file.flush()
            os.fsync(file.fileno())
        staged.rename(path)
    finally:
        staged.unlink(missing_ok=True)


def load(path: Path) -> pl.DataFrame:
    """Read a training set. Raises MissingData when it is not there."""
    if not path.is_file():
        raise MissingData(f"Training set {path} does not exist. Build it again with the train flow.")
    return pl.read_parquet(path)
