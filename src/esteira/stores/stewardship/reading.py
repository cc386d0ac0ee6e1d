"""How people read the belt's tables: restricted values are masked, or shown for a stated purpose and recorded.

The belt itself reads through ``stores/data/tables.py``: its purpose is the use case's, and its deeds are audited.
"""

from collections.abc import Callable, Iterable, Sequence

import polars as pl

from esteira.errors import AccessRefused, UnknownName
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.data import tables
from esteira.stores.stewardship import sensitivity


def read(
    table: str,
    *,
    columns: Sequence[str] | None = None,
    rows: int | None = None,
    at_version: int | None = None,
    purpose: str | None = None,
    actor: str,
) -> pl.DataFrame:
    """The first ``rows`` of ``table``; restricted columns are masked unless they are named and a purpose is stated.

    Raises:
        AccessRefused: a restricted column was named without a purpose; nothing was read.
        UnknownName: a column is not in the table.
    """
    scanned = tables.scan(table, at_version=at_version)
    known = scanned.collect_schema().names()
    for name in columns or ():
        if name not in known:
            raise UnknownName.among(f"column of table {table!r}", name, known, f"See: esteira data show {table}")
    shown = scanned if rows is None else scanned.head(rows)
    if columns is None:
        return sensitivity.mask(shown.collect())
    return disclose(shown.select(columns).collect, columns, f"table:{table}", purpose=purpose, actor=actor)


def disclose(
    open_rows: Callable[[], pl.DataFrame], columns: Iterable[str], subject: str, *, purpose: str | None, actor: str
) -> pl.DataFrame:
    """What ``open_rows`` reads, in the clear, once the purpose is recorded if ``columns`` holds a restricted one.

    The record is written before the rows are read: nobody sees what is not in the log. Raises AccessRefused.
    """
    asked = sorted(set(columns) & sensitivity.restricted_columns().keys())
    if asked:
        stated = (purpose or "").strip()
        if not stated:
            raise AccessRefused(
                f"Columns {asked} of {subject} are restricted and were not read. State what they are needed for: "
                "--purpose '…'. It is recorded in the audit log. Without naming them they are shown masked."
            )
        audit.record(
            Deed(actor=actor, action="read restricted", subject=subject, reason=stated, details={"columns": asked})
        )
    return open_rows()
