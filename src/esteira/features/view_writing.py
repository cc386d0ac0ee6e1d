"""Checks a frame against a Feast view before it is appended to the view's source."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID

from esteira.contract import MOMENT
from esteira.errors import WrongColumns
from esteira.features import file_sources
from esteira.features.declared_types import cast_series, polars_type
from esteira.features.view_reading import stored_name


def rows_to_append(
    view: Any,
    source: Any,
    table: pa.Table,
    stored: Mapping[str, pl.DataType] | None,
    naive_timestamps: file_sources.NaiveTimestamps,
) -> pl.DataFrame:
    """``table`` as rows of the view's source: the source's columns, order and types, named by source or by view.

    Args:
        view: what declares keys, features and their types.
        source: the view's source; its field mapping is undone.
        table: n rows to append.
        stored: the source's columns with their types, None when nothing has been written yet; then the declared ones.
        naive_timestamps: what to do with datetimes without zone.

    Raises:
        WrongColumns: columns are missing or too many, of another kind than declared or stored, a value does not fit,
            or a key or a time is null.
    """
    where = f"Cannot append to feature view {view.name!r}"
    keys = [stored_name(source, column.name) for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    times = [stored_name(source, each) for each in (source.timestamp_field, source.created_timestamp_column) if each]
    declared: dict[str, pl.DataType | None] = {
        stored_name(source, column.name): polars_type(column.dtype)
        for column in [*view.entity_columns, *view.features]
        if column.name != DUMMY_ENTITY_ID
    }
    declared |= dict.fromkeys(times, MOMENT)

    rows = pl.DataFrame(pl.from_arrow(table))
    rows = rows.rename({name: stored_name(source, name) for name in rows.columns})
    expected = list(stored or declared)
    missing = [name for name in {**declared, **dict.fromkeys(expected)} if name not in rows.columns]
    unknown = [name for name in rows.columns if name not in expected]
    if missing or unknown:
        raise WrongColumns(
            f"{where}: columns {missing} are missing, {unknown} are not in its source. Expected: {expected}. "
            "Nothing was written."
        )
    rows = file_sources.aware(rows.lazy(), rows.columns, naive_timestamps, where).collect()
    if absent := [name for name in [*keys, *times] if rows[name].null_count()]:
        raise WrongColumns(f"{where}: {absent} hold nulls; such rows could never be found. Nothing was written.")
    columns = []
    for name in expected:
        values = rows[name]
        as_declared = declared.get(name)
        if as_declared is not None:
            values = cast_series(values, as_declared, where)
        columns.append(cast_series(values, (stored or {}).get(name, values.dtype), where))
    return pl.DataFrame(columns)
