"""Invented data for who may not have the real: made by the source's own code, held against its reviewed schema, marked.

A folder of invented files carries a mark. In production nothing is taken in from a marked folder, and a data card says
what the data is.
"""

from datetime import timedelta
from pathlib import Path

from esteira.contract import Inventive, Source
from esteira.data.row_rules import judge_rows
from esteira.data.schema import SourceSchema
from esteira.errors import DataError, InputError, MissingData
from esteira.sources.location import location_of
from esteira.stores.data import schemas
from esteira.stores.whole_files import write_whole

MARK = "SYNTHETIC.txt"


def write(source: Source, folder: Path, *, seed: int, days: int) -> Path:
    """Write ``days`` of invented data of ``source`` into the empty or new ``folder``; return the folder.

    Raises:
        InputError: the source cannot invent data, the folder holds other files, or there is less than a day.
        MissingData: the source has no accepted schema to be true to.
        DataError: what was invented breaks the schema; nothing is left of it.
    """
    schema = schemas.accepted(source)
    if not isinstance(source, Inventive):
        raise InputError(
            f"Source {source.name!r} cannot invent data: {type(source).__name__} has no method synthesize (see "
            "contract.Inventive). Write one beside the source, as use_cases/flights/synthetic.py is."
        )
    if schema is None:
        raise MissingData(
            f"Source {source.name!r} has no accepted schema in {source.schema_file}, so nothing says what its data "
            "looks like. Whoever may read the data proposes and accepts one: esteira data schema propose"
        )
    if days < 1:
        raise InputError(f"Cannot invent {days} days. Expected one at least; training takes about seventy.")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty. Invented files are kept apart from all others: name a new folder.")
    words = {
        table: {name: column.categories for name, column in each.columns.items() if column.categories}
        for table, each in schema.tables.items()
    }
    # The mark first: files without it would pass for real ones.
    mark = f"Invented data of source {source.name!r}: seed {seed}, {days} days. Nothing in it is true.\n"
    write_whole(folder / MARK, mark.encode())
    for name, content in source.synthesize(words, seed=seed, days=days).items():
        write_whole(folder / name, content)
    try:
        _require_true_to(schema, source.at(folder))
    except DataError:
        for file in folder.iterdir():
            file.unlink()
        raise
    return folder


def mark_of(source: Source) -> str | None:
    """What the mark in the source's present folder says; None for real data."""
    file = Path(location_of(source.name, "")) / MARK
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def require_real(source: Source) -> None:
    """Raise DataError when the source's present folder holds invented data."""
    if mark := mark_of(source):
        raise DataError(
            f"In production nothing is made of invented data, and source {source.name!r} is set to such: {mark} "
            f"Set ESTEIRA_SOURCE_LOCATIONS to where the real data is, or take {source.name!r} out of it."
        )


def _require_true_to(schema: SourceSchema, source: Source) -> None:
    first, last = source.span()
    before = first - timedelta(microseconds=1)
    broken = []
    for table in source.tables:
        rows = source.read(table.name, before, last or before)
        judged = judge_rows(rows, table, schema.tables[table.name], after=None, until=last or before)
        broken += [str(each) for each in judged.findings if each.outcome != "pass"]
    if broken:
        raise DataError(
            f"What source {source.name!r} invents is not true to its schema:\n  " + "\n  ".join(broken) + "\nMend its "
            "synthesize; nothing was kept."
        )
