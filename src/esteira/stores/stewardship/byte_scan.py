"""Look for values in every file under a folder: byte by byte, and value by value in Parquet, which is compressed."""

import mmap
from collections.abc import Collection
from pathlib import Path

import polars as pl

_PARQUET = b"PAR1"


def places(root: Path, values: Collection[str], *, apart_from: Collection[str] = ()) -> list[Path]:
    """The files under ``root`` that hold one of ``values`` anywhere, also within longer texts.

    Occurrences within ``apart_from``, longer values that are somebody else's, do not count.
    """
    if not values:
        return []
    wanted, others = sorted(values), sorted(apart_from, key=len, reverse=True)
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path for path in files if _holds(path, wanted, others)]


def _holds(path: Path, values: list[str], others: list[str]) -> bool:
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content[:4] == _PARQUET and _parquet_holds(path, values, others):
                    return True
                if len(values) == 1 and content.find(values[0].encode()) < 0:
                    return False
                held = content[:]
    except FileNotFoundError:  # something was finished or cleaned up meanwhile
        return False
    for other in others:
        held = held.replace(other.encode(), b"")
    # Aho and Corasick 1975: all values in one pass. Each byte is a letter of Latin-1, in the values too.
    text = pl.Series([held.decode("latin-1")])
    return bool(text.str.contains_any([value.encode().decode("latin-1") for value in values]).any())


def _parquet_holds(path: Path, values: list[str], others: list[str]) -> bool:
    rows = pl.scan_parquet(path, glob=False)
    texts = [
        pl.col(name) if kind == pl.String else pl.struct(name).struct.json_encode().alias(name)
        for name, kind in rows.collect_schema().items()
        if kind == pl.String or kind.is_nested()
    ]
    if not texts:
        return False
    for other in others:
        texts = [each.str.replace_all(other, "", literal=True) for each in texts]
    found = rows.select(pl.any_horizontal(each.str.contains_any(values).any() for each in texts)).collect()
    return bool(found.item())
