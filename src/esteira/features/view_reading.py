"""How one Feast view reads its source: which columns, under which names, with the entity frame's names for its keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID

from esteira.errors import InputError, WrongColumns
from esteira.features import file_sources
from esteira.features.declared_types import arrow_type

EVENT_OF_ROW, CREATED_OF_ROW = "__event_of_row", "__created_of_row"


@dataclass(frozen=True, kw_only=True)
class ViewReading:
    """One view of a retrieval, with join-key aliases and field mapping resolved."""

    rows: pl.LazyFrame
    """The source's rows: keys as the entity frame names them, features as the result does, ``EVENT_OF_ROW`` and, when
    recorded, ``CREATED_OF_ROW``."""
    keys: tuple[str, ...]
    created: str | None
    ttl: timedelta | None
    types: Mapping[str, pa.DataType | None]
    """Every feature column of the result, in order, with its declared type where it has one."""


def read_view(
    view: Any,
    features: Sequence[str],
    *,
    repo_path: Path | None,
    naive_timestamps: file_sources.NaiveTimestamps,
    full_feature_names: bool,
) -> ViewReading:
    """Resolve how ``features`` of ``view`` are read.

    Raises:
        FeastOfflineStoreUnsupportedDataSource: the view's source is no Parquet or Delta FileSource.
        MissingData: there is nothing where the source should be.
        WrongColumns: the source lacks a column, or holds naive datetimes and those are refused.
    """
    source = file_sources.require_file_source(view.batch_source)
    projection = view.projection
    keys = {
        projection.join_key_map.get(column.name, column.name): stored_name(source, column.name)
        for column in view.entity_columns
        if column.name != DUMMY_ENTITY_ID
    }
    prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
    values = {prefix + feature: stored_name(source, feature) for feature in features}
    if taken := sorted(keys.keys() & values.keys()):
        raise InputError(
            f"Features {taken} of view {view.name!r} are called like join keys. Ask for full_feature_names."
        )
    times = {EVENT_OF_ROW: stored_name(source, source.timestamp_field)}
    if source.created_timestamp_column:
        times[CREATED_OF_ROW] = stored_name(source, source.created_timestamp_column)

    rows = file_sources.scan(source, repo_path)
    needed = {**keys, **times, **values}
    held = rows.collect_schema().names()
    if missing := sorted({column for column in needed.values() if column not in held}):
        raise WrongColumns(
            f"Feature view {view.name!r} needs the columns {missing} of data source {source.name!r}, which has {held}. "
            "Mend the view, the source's field_mapping or the data, and apply again."
        )
    rows = file_sources.aware(rows, list(needed.values()), naive_timestamps, f"Data source {source.name!r}")
    declared = {field.name: arrow_type(field.dtype) for field in view.features}
    return ViewReading(
        rows=rows.select(pl.col(column).alias(name) for name, column in needed.items()),
        keys=tuple(keys),
        created=CREATED_OF_ROW if CREATED_OF_ROW in times else None,
        ttl=view.ttl,
        types={prefix + feature: declared.get(feature) for feature in features},
    )


def stored_name(source: Any, name: str) -> str:
    """The column of ``source`` that its field mapping calls ``name``."""
    return next((column for column, mapped in source.field_mapping.items() if mapped == name), name)
