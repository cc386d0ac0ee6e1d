"""Entity frames in every form Feast accepts: pandas, Polars and Arrow frames, SQL over the sources, or none at all."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.errors import (
    EntityDFNotDateTime,
    EntityTimestampInferenceException,
    FeastEntityDFMissingColumnsError,
    RequestDataNotFoundInEntityDfException,
)

from esteira.contract import EVENT, MOMENT
from esteira.errors import InputError
from esteira.features import file_sources
from esteira.features.asof import within
from esteira.features.view_reading import EVENT_OF_ROW, ViewReading


def read_entities(entity_df: Any, views: Iterable[Any], repo_path: Path | None) -> pl.DataFrame:
    """``entity_df`` as a Polars frame; SQL runs in Polars, over the sources of ``views`` by view or source name.

    Raises InputError for another kind of object, or SQL that does not run.
    """
    match entity_df:
        case pl.DataFrame():
            return entity_df
        case pl.LazyFrame():
            return entity_df.collect()
        case pa.Table():
            return pl.DataFrame(pl.from_arrow(entity_df))
        case pd.DataFrame():
            return pl.from_pandas(entity_df)
        case str():
            return _run_sql(entity_df, views, repo_path)
    raise InputError(
        f"Cannot take a {type(entity_df).__name__} as entity frame. Pass a pandas, Polars or Arrow frame, or SQL text."
    )


def timestamp_of(entities: pl.DataFrame) -> str:
    """The column that holds each entity row's moment: ``event_timestamp``, or the only datetime column there is.

    Raises EntityTimestampInferenceException when it cannot be told, EntityDFNotDateTime when it holds no datetimes.
    """
    datetimes = [name for name, dtype in entities.schema.items() if isinstance(dtype, pl.Datetime)]
    if EVENT not in entities.columns:
        if len(datetimes) == 1:
            return datetimes[0]
        error = EntityTimestampInferenceException(EVENT)
        error.add_note(f"Its datetime columns are {datetimes} of {entities.columns}. Name the one meant {EVENT!r}.")
        raise error
    if EVENT not in datetimes and entities.height:
        wrong = EntityDFNotDateTime()
        wrong.add_note(
            f"{EVENT!r} is {entities.schema[EVENT]}. Convert it, in Polars by str.to_datetime(time_zone='UTC')."
        )
        raise wrong
    return EVENT


def normalised(entities: pl.DataFrame, timestamp: str, policy: file_sources.NaiveTimestamps) -> pl.DataFrame:
    """``entities`` with ``timestamp`` in UTC microseconds. Raises WrongColumns for naive ones if they are refused."""
    if not isinstance(entities.schema[timestamp], pl.Datetime):  # only an empty frame may be untyped
        return entities.with_columns(pl.lit(None, MOMENT).alias(timestamp))
    rows = file_sources.aware(entities.lazy(), [timestamp], policy, "The entity frame")
    return rows.with_columns(pl.col(timestamp).dt.convert_time_zone("UTC").dt.cast_time_unit("us")).collect()


def require_columns(entities: pl.DataFrame, readings: Sequence[ViewReading], on_demand_views: Sequence[Any]) -> None:
    """Check that ``entities`` holds every join key and every input on-demand views expect from a request.

    Raises FeastEntityDFMissingColumnsError or RequestDataNotFoundInEntityDfException.
    """
    expected = sorted({key for reading in readings for key in reading.keys})
    if missing := [key for key in expected if key not in entities.columns]:
        error = FeastEntityDFMissingColumnsError(expected, missing)
        error.add_note(f"It has {entities.columns}. Add the join keys, or alias them with with_join_key_map.")
        raise error
    for view in on_demand_views:
        for name in view.get_request_data_schema():
            if name not in entities.columns:
                raise RequestDataNotFoundInEntityDfException(feature_name=name, feature_view_name=view.name)


def every_entity(readings: Sequence[ViewReading], start: datetime, end: datetime) -> pl.DataFrame:
    """One row at ``end`` for each entity that had an event in ``[start, end]`` in any of the views, sorted by key.

    Raises InputError for views with different keys: then only an entity frame says which of them belong together.
    """
    moment = pl.lit(end).cast(MOMENT).alias(EVENT)
    keyed = [reading for reading in readings if reading.keys]
    if not keyed:
        return pl.select(moment)
    keys = sorted(keyed[0].keys)
    if any(sorted(reading.keys) != keys for reading in keyed):
        raise InputError(
            "Without an entity frame all views must share their join keys; these have "
            f"{[list(reading.keys) for reading in keyed]}. Pass an entity frame, or ask for one view at a time."
        )
    known = [within(reading.rows, EVENT_OF_ROW, start, end).select(keys).drop_nulls().unique() for reading in keyed]
    return pl.concat(known, how="vertical_relaxed").unique().sort(keys).with_columns(moment).collect()


def _run_sql(query: str, views: Iterable[Any], repo_path: Path | None) -> pl.DataFrame:
    tables: dict[str, pl.LazyFrame] = {}
    for view in views:
        for name in (view.name, view.batch_source.name if view.batch_source else view.name):
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", query) and name not in tables:
                tables[name] = file_sources.scan(file_sources.require_file_source(view.batch_source), repo_path)
    try:
        return pl.SQLContext(tables).execute(query, eager=True)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"Cannot run the SQL of the entity frame: {error}. It runs in Polars; feature views and their sources are "
            f"tables by name ({', '.join(tables) or 'none is mentioned'}). Query: {query!r}"
        ) from error
