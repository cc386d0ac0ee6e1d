"""The Feast offline store: knowledge-time ASOF joins over Parquet and Delta, every entity row kept.

Usable in any Feast project::

    offline_store:
      type: esteira.features.offline_store.EsteiraOfflineStore
      knowledge_time: true        # a value counts from when it had arrived; false: from its event on, as Feast does
      naive_timestamps: refuse    # or utc: take datetimes without zone as UTC, with a warning
      shard_rows: 20000000        # feature rows in memory at once; when more matter, several passes read the source
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.errors import FeastJoinKeysDuringMaterialization
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel
from feast.utils import _get_requested_feature_views_to_features_dict, compute_non_entity_date_range
from pydantic import PositiveInt, StrictBool

from esteira.contract import utc
from esteira.errors import WrongColumns
from esteira.features import entity_frames, file_sources
from esteira.features.asof import point_in_time_join, require_columns, within
from esteira.features.retrieval_job import EsteiraRetrievalJob
from esteira.features.view_reading import EVENT_OF_ROW, ViewReading, read_view
from esteira.features.view_writing import rows_to_append

# Sorting and searching are work for one processor, reading and fetching for several: two views fill each other's gaps.
_VIEWS_AT_ONCE = 2


class EsteiraOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """What ``feature_store.yaml`` may say under ``offline_store``."""

    type: Literal["esteira.features.offline_store.EsteiraOfflineStore"] = (
        "esteira.features.offline_store.EsteiraOfflineStore"
    )
    knowledge_time: StrictBool = True
    naive_timestamps: file_sources.NaiveTimestamps = "refuse"
    shard_rows: PositiveInt = 20_000_000


class EsteiraOfflineStore(OfflineStore):  # type: ignore[misc]
    """Point-in-time retrieval for FileSource data; the rule is the one of ``esteira.features.asof``."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: Sequence[Any],
        feature_refs: Sequence[str],
        entity_df: pd.DataFrame | pl.DataFrame | pl.LazyFrame | pa.Table | str | None,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = False,
    ) -> EsteiraRetrievalJob:
        """Join features to entity rows as each row's moment saw them; rows, order and pandas index are kept.

        ``entity_df`` None asks for every entity with an event in ``[start_date, end_date]``, as seen at ``end_date``.

        Raises:
            FeastError: Feast's own types for a frame without timestamp, join key or request input, and for a source
                that is no Parquet or Delta FileSource.
            WrongColumns, MissingData: a source lacks a column, or there is none.
            InputError: a key of another type than the source's, SQL that does not run.
        """
        options = config.offline_store
        on_demand_views = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        requested, _ = _get_requested_feature_views_to_features_dict(feature_refs, feature_views, on_demand_views)
        readings = [
            read_view(
                view,
                list(dict.fromkeys(features)),
                repo_path=config.repo_path,
                naive_timestamps=options.naive_timestamps,
                full_feature_names=full_feature_names,
            )
            for view, features in requested.items()
        ]
        if entity_df is None:
            start, end = compute_non_entity_date_range(list(feature_views), start_date=start_date, end_date=end_date)
            entities = entity_frames.every_entity(readings, start, end)
        else:
            views = registry.list_feature_views(project, allow_cache=True) if isinstance(entity_df, str) else []
            entities = entity_frames.read_entities(entity_df, views, config.repo_path)
        timestamp = entity_frames.timestamp_of(entities)
        entities = entity_frames.normalised(entities, timestamp, options.naive_timestamps)
        entity_frames.require_columns(entities, readings, on_demand_views)

        at_once = min(_VIEWS_AT_ONCE, len(readings))

        def join(reading: ViewReading) -> pl.DataFrame:
            joined = point_in_time_join(
                entities,
                reading.rows,
                keys=reading.keys,
                entity_timestamp=timestamp,
                event=EVENT_OF_ROW,
                created=reading.created,
                ttl=reading.ttl,
                columns={name: name for name in reading.types},
                knowledge_time=options.knowledge_time or filter_by_created_timestamp,
                shard_rows=max(1, options.shard_rows // at_once),
            )
            return joined.select(*reading.types)

        def compute() -> pl.DataFrame:
            if not readings:
                return entities
            with ThreadPoolExecutor(at_once) as threads:
                return pl.concat([entities, *threads.map(join, readings)], how="horizontal")

        return EsteiraRetrievalJob(
            compute,
            repo_path=config.repo_path,
            types={name: each for reading in readings for name, each in reading.types.items() if each is not None},
            index=entity_df.index if isinstance(entity_df, pd.DataFrame) else None,
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand_views,
            metadata=RetrievalMetadata(
                features=list(feature_refs),
                keys=[column for column in entities.columns if column != timestamp],
                min_event_timestamp=entities[timestamp].min(),
                max_event_timestamp=entities[timestamp].max(),
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> EsteiraRetrievalJob:
        """The newest row of each entity among the events in ``[start_date, end_date]``: greatest event, then created.

        As in all Feast stores the range is one of event time; what has arrived by the time of the call counts.
        """
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        rows = _stored_rows(config, data_source, join_key_columns, feature_name_columns, times, start_date, end_date)
        newest = rows.sort(times, maintain_order=True)
        keys = join_key_columns or [DUMMY_ENTITY_ID]
        return EsteiraRetrievalJob(
            lambda: newest.unique(keys, keep="last", maintain_order=True).collect(), repo_path=config.repo_path
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> EsteiraRetrievalJob:
        """All rows with an event in ``[start_date, end_date]``, open where None, as stored."""
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        rows = _stored_rows(config, data_source, join_key_columns, feature_name_columns, times, start_date, end_date)
        return EsteiraRetrievalJob(rows.collect, repo_path=config.repo_path)

    @staticmethod
    def offline_write_batch(
        config: Any, feature_view: Any, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append ``table`` to the view's source, all of it or, when it is not what the view declares, nothing.

        Raises WrongColumns when columns are missing or too many, of another kind, or keys and times are null.
        """
        source = file_sources.require_file_source(feature_view.batch_source)
        stored = file_sources.stored_schema(source, config.repo_path)
        rows = rows_to_append(feature_view, source, table, stored, config.offline_store.naive_timestamps)
        file_sources.append(source, config.repo_path, rows)
        if progress:
            progress(rows.height)

    @staticmethod
    def write_logged_features(
        config: Any, data: pa.Table | Path, source: Any, logging_config: Any, registry: Any
    ) -> None:
        """Append logs of served features, an Arrow table or a folder of Parquet, to their destination.

        Raises WrongColumns when a column that the feature service logs is missing.
        """
        destination = file_sources.require_file_source(logging_config.destination.to_data_source())
        logs = pl.read_parquet(data) if isinstance(data, Path) else pl.DataFrame(pl.from_arrow(data))
        expected = source.get_schema(registry).names
        if missing := [name for name in expected if name not in logs.columns]:
            raise WrongColumns(
                f"The logs lack the columns {missing} of the feature service; they have {logs.columns}. Nothing was "
                "written. Build them with the service's logging source."
            )
        partition_by = logging_config.destination.partition_by or ()
        file_sources.append(destination, config.repo_path, logs, partition_by=partition_by)

    def get_table_column_names_and_types_from_data_source(
        self, config: Any, data_source: Any
    ) -> Iterable[tuple[str, str]]:
        """Columns of a source with their Arrow types as text; unlike FileSource's own, relative Delta paths work."""
        rows = file_sources.scan(file_sources.require_file_source(data_source), config.repo_path)
        schema = pl.DataFrame(schema=rows.collect_schema()).to_arrow().schema
        return [(field.name, str(field.type).replace("large_", "")) for field in schema]


def _stored_rows(
    config: Any,
    source: Any,
    keys: Sequence[str],
    features: Sequence[str],
    times: Sequence[str],
    start: datetime | None,
    end: datetime | None,
) -> pl.LazyFrame:
    """The given columns of a source: rows with an event between ``start`` and ``end``, times in UTC microseconds."""
    rows = file_sources.scan(file_sources.require_file_source(source), config.repo_path)
    held = rows.collect_schema()
    if any(key not in held for key in keys):
        error = FeastJoinKeysDuringMaterialization(source.path, set(keys), set(held.names()))
        error.add_note("Mend the entity's join keys or the source's field_mapping, and apply again.")
        raise error
    where = f"rows of data source {source.name!r}"
    columns = list(dict.fromkeys([*keys, *features, *times]))
    require_columns(held, columns, [], where)
    rows = file_sources.aware(rows.select(columns), times, config.offline_store.naive_timestamps, f"The {where}")
    require_columns(rows.collect_schema(), [], times, where)
    rows = within(rows, times[0], start and utc(start), end and utc(end)).with_columns(
        pl.col(times).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    )
    # Feast keys the rows of views without entities by this constant.
    return rows if keys else rows.with_columns(pl.lit(DUMMY_ENTITY_VAL).alias(DUMMY_ENTITY_ID))
