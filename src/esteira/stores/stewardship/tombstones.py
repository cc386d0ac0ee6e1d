"""Which entities were forgotten, by tokens from which they cannot be found, so that no source brings them back."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from esteira.stewardship.traces import ENTITY_ID
from esteira.stores.database import APPEND_ONLY, Moment, transaction
from esteira.stores.stewardship.mask_key import token

_metadata = sa.MetaData()
_tombstones = sa.Table(
    "tombstones",
    _metadata,
    sa.Column("column", sa.String, primary_key=True),
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("recorded_at", Moment, nullable=False),
    info=APPEND_ONLY,
)


def add(values: Mapping[str, Collection[Any]]) -> None:
    """Remember values (column -> values) as forgotten; those that are remembered already stay as they are."""
    with transaction(_metadata) as connection:
        known = {(row.column, row.token) for row in connection.execute(sa.select(_tombstones))}
        wanted = {(column, token(column, value)) for column, each in values.items() for value in each}
        rows = [
            {"column": column, "token": name, "recorded_at": datetime.now(UTC)}
            for column, name in sorted(wanted - known)
        ]
        if rows:
            connection.execute(sa.insert(_tombstones), rows)


def without_forgotten(rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` less those that have a forgotten value in its column."""
    with transaction(_metadata) as connection:
        known = {(row.column, row.token) for row in connection.execute(sa.select(_tombstones))}
    columns = {column for column, _ in known}
    for name in rows.columns:
        asked = columns if name == ENTITY_ID else columns & {name}
        if not asked:
            continue
        distinct = rows[name].drop_nulls().unique()
        gone = [value for value in distinct if any((column, token(column, value)) in known for column in asked)]
        if gone:
            named = pl.col(name).is_in(pl.Series(gone, dtype=rows.schema[name]).implode())
            rows = rows.filter(named.not_().fill_null(True))
    return rows
