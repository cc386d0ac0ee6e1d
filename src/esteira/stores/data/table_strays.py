"""Files of a table that no commit names: what is left of a writer that had no room to commit."""

from pathlib import Path

_CLOCKS = 2.0
"""File systems round the time of a file, to two seconds at most."""


def remove_strays(folder: Path, since: float) -> None:
    """Remove the data files of the table in ``folder`` written after ``since`` (unix seconds) that no commit names.

    Only while nobody writes: a file is there before the commit that names it.
    """
    newest = since - _CLOCKS
    told = b"".join(commit.read_bytes() for commit in _written(folder / "_delta_log", "*.json", newest))
    for file in _written(folder, "**/*.parquet", newest):
        if file.name.encode() not in told and file.parent.name != "_delta_log":
            file.unlink(missing_ok=True)


def _written(folder: Path, pattern: str, after: float) -> list[Path]:
    return [file for file in folder.glob(pattern) if file.stat().st_mtime >= after]
