"""The offline store as any Feast project uses it: through a FeatureStore over real Parquet and Delta sources."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import (
    BigQuerySource,
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    RequestSource,
    ValueType,
)
from feast.data_format import DeltaFormat, ParquetFormat
from feast.errors import (
    EntityDFNotDateTime,
    EntityTimestampInferenceException,
    FeastEntityDFMissingColumnsError,
    FeastJoinKeysDuringMaterialization,
    FeastOfflineStoreUnsupportedDataSource,
    RequestDataNotFoundInEntityDfException,
    SavedDatasetLocationAlreadyExists,
)
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Float64, Int32, Int64, String, UnixTimestamp

from esteira.contract import MOMENT
from esteira.errors import InputError, MissingData, WrongColumns
from esteira.features.offline_store import EsteiraOfflineStore, EsteiraOfflineStoreConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is an experimental feature:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:feast"),
]

TYPE = "esteira.features.offline_store.EsteiraOfflineStore"
START = datetime(2013, 3, 1, tzinfo=UTC)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


TRAFFIC = pl.DataFrame(
    {
        "airport": ["JFK", "JFK", "LGA", "JFK"],
        "event_timestamp": [at(0), at(2), at(1), at(1)],
        "created_timestamp": [at(0), at(3), at(1), at(5)],
        "departures": [10, 30, 20, 99],
        "mean_delay": [1.5, None, 2.5, 9.5],
    },
    schema_overrides={"event_timestamp": MOMENT, "created_timestamp": MOMENT, "departures": pl.Int32},
)
TAILS = pl.DataFrame(
    {
        "tail": [1, 2],
        "observed": [at(0), at(0)],
        "arrived": [at(0), at(0)],
        "age_years": [4.0, 7.0],
        "seen_at": [at(-5), None],
        "words": [["a", "b"], []],
    },
    schema_overrides={"observed": MOMENT, "arrived": MOMENT, "seen_at": pl.Datetime("ns", "UTC")},
)
CALENDAR = pl.DataFrame(
    {"event_timestamp": [at(0), at(10)], "holiday": ["none", "Easter"]}, schema_overrides={"event_timestamp": MOMENT}
)


def configuration(root: Path, **offline: Any) -> RepoConfig:
    return RepoConfig(
        project="flights",
        provider="local",
        registry={"path": str(root / "registry.db"), "cache_ttl_seconds": 600},
        offline_store={"type": TYPE, **offline},
        online_store={"type": "sqlite", "path": str(root / "online.db")},
        entity_key_serialization_version=3,
        repo_path=root,
        # so that naive times of pandas frames reach the offline store as they are
        coerce_tz_aware=False,
    )


def lay_out(root: Path) -> None:
    write_deltalake(str(root / "traffic"), TRAFFIC)
    folder = root / "tails"
    folder.mkdir()
    TAILS.head(1).write_parquet(folder / "a.parquet")
    TAILS.tail(1).write_parquet(folder / "b.parquet")
    CALENDAR.write_parquet(root / "calendar.parquet")


def declarations(root: Path) -> list[Any]:
    airport = Entity(name="airport", join_keys=["airport"], value_type=ValueType.STRING)
    tail = Entity(name="tail", join_keys=["tail"], value_type=ValueType.INT64)
    traffic = FeatureView(
        name="traffic",
        entities=[airport],
        ttl=timedelta(hours=4),
        schema=[
            Field(name="airport", dtype=String),
            Field(name="departures", dtype=Int64),
            Field(name="mean_delay", dtype=Float64),
        ],
        source=FileSource(
            name="traffic_table",
            path=str(root / "traffic"),
            file_format=DeltaFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        ),
    )
    planes = FeatureView(
        name="planes",
        entities=[tail],
        ttl=timedelta(0),
        schema=[
            Field(name="tail", dtype=Int64),
            Field(name="age", dtype=Float32),
            Field(name="seen_at", dtype=UnixTimestamp),
            Field(name="words", dtype=Array(String)),
        ],
        source=FileSource(
            path="tails",
            timestamp_field="observed",
            created_timestamp_column="arrived",
            field_mapping={"age_years": "age"},
        ),
    )
    calendar = FeatureView(
        name="calendar",
        entities=[],
        schema=[Field(name="holiday", dtype=String)],
        source=FileSource(path="calendar.parquet", file_format=ParquetFormat(), timestamp_field="event_timestamp"),
    )
    request = RequestSource(name="request", schema=[Field(name="seats", dtype=Int64)])

    @on_demand_feature_view(
        sources=[traffic, request], schema=[Field(name="seats_departing", dtype=Int64)], mode="python"
    )
    def load(inputs: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(inputs["departures"], inputs["seats"], strict=True)
        return {"seats_departing": [None if departures is None else departures * seats for departures, seats in pairs]}

    service = FeatureService(
        name="everything",
        features=[traffic[["departures"]], planes, calendar, load],
        logging_config=LoggingConfig(destination=FileLoggingDestination(path="logs", partition_by=["__log_date"])),
    )
    route = FeatureService(
        name="route",
        features=[
            traffic[["departures"]].with_name("origin").with_join_key_map({"airport": "from"}),
            traffic[["departures"]].with_name("destination").with_join_key_map({"airport": "to"}),
        ],
    )
    return [airport, tail, traffic, planes, calendar, load, service, route]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    root = tmp_path_factory.mktemp("repo")
    lay_out(root)
    opened = FeatureStore(config=configuration(root))
    opened.apply(declarations(root))
    return opened


@pytest.fixture
def own_store(store: FeatureStore, tmp_path: Path) -> FeatureStore:
    """A store with sources of its own, for tests that write."""
    lay_out(tmp_path)
    opened = FeatureStore(config=configuration(tmp_path))
    opened.apply(declarations(tmp_path))
    return opened


def reconfigured(store: FeatureStore, **offline: Any) -> FeatureStore:
    return FeatureStore(config=configuration(Path(store.config.repo_path), **offline))


def asked(**columns: list[Any]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True)
    return frame


def test_values_are_those_known_at_each_moment_and_no_row_is_lost(store: FeatureStore) -> None:
    entities = asked(
        airport=["LGA", "JFK", "JFK", "EWR", "JFK", "JFK", None],
        event_timestamp=[at(9), at(2.5), at(3), at(3), at(3), at(5.5), at(3)],
    )
    entities.index = pd.Index([5, 5, 3, 2, 1, 0, 9], name="row")
    found = store.get_historical_features(entities, ["traffic:departures", "traffic:mean_delay"]).to_df()
    assert found.index.equals(entities.index)
    assert found["airport"].tolist() == entities["airport"].tolist()
    assert found["departures"].astype("Int64").fillna(-1).tolist() == [-1, 10, 30, -1, 30, 30, -1]
    assert found["mean_delay"].fillna(-1).tolist() == [-1, 1.5, -1, -1, -1, -1, -1]


def test_types_are_the_declared_ones_and_times_utc_microseconds(store: FeatureStore) -> None:
    entities = asked(tail=[2, 1], airport=["JFK", "JFK"], event_timestamp=[at(3), at(3)])
    table = store.get_historical_features(
        entities, ["planes:age", "planes:seen_at", "planes:words", "traffic:departures", "calendar:holiday"]
    ).to_arrow()
    utc = pa.timestamp("us", tz="UTC")
    types = {"event_timestamp": utc, "age": pa.float32(), "seen_at": utc, "words": pa.list_(pa.string())}
    types |= {"departures": pa.int64(), "holiday": pa.string()}
    assert {name: table.schema.field(name).type for name in types} == types
    assert table.column("age").to_pylist() == [7.0, 4.0]
    assert table.column("seen_at").to_pylist() == [None, at(-5)]
    assert table.column("words").to_pylist() == [[], ["a", "b"]]


def test_a_feature_service_joins_views_with_and_without_entities_and_on_demand_views(store: FeatureStore) -> None:
    entities = asked(airport=["JFK", "EWR"], tail=[1, 3], seats=[150, 200], event_timestamp=[at(3), at(11)])
    job = store.get_historical_features(entities, store.get_feature_service("everything"))
    table = job.to_arrow()
    assert table.column_names[:4] == ["airport", "tail", "seats", "event_timestamp"]
    rows = table.to_pylist()
    assert [row["departures"] for row in rows] == [30, None]
    assert [row["age"] for row in rows] == [4.0, None]
    assert [row["holiday"] for row in rows] == ["none", "Easter"]
    assert [row["seats_departing"] for row in rows] == [4500, None]
    assert job.metadata.min_event_timestamp == at(3)
    assert job.metadata.max_event_timestamp == at(11)


def test_join_key_aliases_join_one_view_twice(store: FeatureStore) -> None:
    entities = pd.DataFrame({"from": ["JFK", "LGA"], "to": ["LGA", "JFK"]})
    entities["event_timestamp"] = pd.to_datetime([at(3), at(3)], utc=True)
    found = store.get_historical_features(entities, store.get_feature_service("route"), full_feature_names=True).to_df()
    assert found["origin__departures"].tolist() == [30, 20]
    assert found["destination__departures"].tolist() == [20, 30]


def test_full_feature_names_carry_the_view_through_on_demand_views_too(store: FeatureStore) -> None:
    entities = asked(airport=["JFK"], seats=[2], event_timestamp=[at(3)])
    found = store.get_historical_features(
        entities, ["traffic:departures", "load:seats_departing"], full_feature_names=True
    ).to_df()
    assert found[["traffic__departures", "load__seats_departing"]].to_numpy().tolist() == [[30, 60]]


@pytest.mark.parametrize("make", [pl.from_pandas, pa.Table.from_pandas, lambda frame: pl.from_pandas(frame).lazy()])
def test_polars_and_arrow_frames_are_taken_as_they_are(store: FeatureStore, make: Any) -> None:
    entities = asked(airport=["JFK", "LGA"], event_timestamp=[at(3), at(3)])
    found = store.get_historical_features(make(entities), ["traffic:departures"]).to_arrow()
    assert found.column("departures").to_pylist() == [30, 20]


def test_sql_over_sources_and_views_is_an_entity_frame(store: FeatureStore) -> None:
    by_source = (
        "SELECT airport, MAX(event_timestamp) AS event_timestamp FROM traffic_table GROUP BY airport ORDER BY airport"
    )
    for query in (by_source, by_source.replace("traffic_table", "traffic")):
        found = store.get_historical_features(query, ["traffic:departures"]).to_df()
        assert found["airport"].tolist() == ["JFK", "LGA"]
        assert found["departures"].tolist() == [10, 20]
    with pytest.raises(InputError, match="Cannot run the SQL"):
        store.get_historical_features("SELECT nothing FROM nowhere", ["traffic:departures"])


def test_without_an_entity_frame_every_entity_of_the_range_is_seen_at_its_end(store: FeatureStore) -> None:
    found = store.get_historical_features(
        features=["traffic:departures", "calendar:holiday"], start_date=at(1), end_date=at(4)
    ).to_df()
    assert found["airport"].tolist() == ["JFK", "LGA"]
    assert found["departures"].tolist() == [30, 20]
    assert found["event_timestamp"].tolist() == [at(4), at(4)]
    only = store.get_historical_features(features=["calendar:holiday"], start_date=at(1), end_date=at(4)).to_df()
    assert only["holiday"].tolist() == ["none"]
    with pytest.raises(InputError, match="share their join keys"):
        store.get_historical_features(features=["traffic:departures", "planes:age"], start_date=at(1), end_date=at(4))


def test_knowledge_time_can_be_switched_off_and_asked_for_per_call(store: FeatureStore) -> None:
    entities = asked(airport=["JFK"], event_timestamp=[at(2.5)])
    eager = reconfigured(store, knowledge_time=False)
    assert eager.get_historical_features(entities, ["traffic:departures"]).to_df()["departures"].tolist() == [30]
    careful = eager.get_historical_features(entities, ["traffic:departures"], filter_by_created_timestamp=True)
    assert careful.to_df()["departures"].tolist() == [10]


def test_joining_in_shards_changes_nothing(store: FeatureStore) -> None:
    entities = asked(airport=["LGA", "JFK", "EWR"], event_timestamp=[at(3), at(3), at(3)])
    found = reconfigured(store, shard_rows=1).get_historical_features(entities, ["traffic:departures"]).to_arrow()
    assert found.column("departures").to_pylist() == [20, 30, None]


def test_the_only_datetime_column_is_the_moment_whatever_its_name(store: FeatureStore) -> None:
    entities = asked(airport=["JFK"], event_timestamp=[at(3)]).rename(columns={"event_timestamp": "asked_at"})
    found = store.get_historical_features(entities, ["traffic:departures"]).to_df()
    assert found["departures"].tolist() == [30]
    with pytest.raises(EntityTimestampInferenceException):
        store.get_historical_features(entities.assign(other=entities["asked_at"]), ["traffic:departures"])


def test_an_empty_entity_frame_gives_an_empty_result_with_all_columns(store: FeatureStore) -> None:
    entities = asked(airport=["JFK"], event_timestamp=[at(3)]).head(0)
    found = store.get_historical_features(entities, ["traffic:departures", "planes:age"][:1]).to_arrow()
    assert found.num_rows == 0
    assert found.schema.field("departures").type == pa.int64()


def test_bad_entity_frames_are_refused_in_feasts_own_words(store: FeatureStore) -> None:
    features = ["traffic:departures"]
    good = asked(airport=["JFK"], event_timestamp=[at(3)])
    with pytest.raises(FeastEntityDFMissingColumnsError, match="airport"):
        store.get_historical_features(good.drop(columns="airport"), features)
    with pytest.raises(EntityTimestampInferenceException):
        store.get_historical_features(good.drop(columns="event_timestamp"), features)
    with pytest.raises(EntityDFNotDateTime):
        store.get_historical_features(good.assign(event_timestamp="yesterday"), features)
    with pytest.raises(RequestDataNotFoundInEntityDfException, match="seats"):
        store.get_historical_features(pl.from_pandas(good), ["load:seats_departing"])
    with pytest.raises(InputError, match="key 'airport' is Int64"):
        store.get_historical_features(good.assign(airport=1), features).to_arrow()
    with pytest.raises(InputError, match=r"already has the columns \['departures'\]"):
        store.get_historical_features(good.assign(departures=1), features).to_arrow()
    with pytest.raises(InputError, match="Cannot take a list"):
        store.get_historical_features([good], features)


def test_naive_times_are_refused_or_taken_as_utc_with_a_warning(store: FeatureStore) -> None:
    naive = asked(airport=["JFK"], event_timestamp=[at(3)])
    naive["event_timestamp"] = naive["event_timestamp"].dt.tz_localize(None)
    with pytest.raises(WrongColumns, match="naive_timestamps: utc"):
        store.get_historical_features(naive, ["traffic:departures"])
    lenient = reconfigured(store, naive_timestamps="utc")
    with pytest.warns(UserWarning, match="entity frame: datetimes without time zone are taken as UTC"):
        found = lenient.get_historical_features(naive, ["traffic:departures"]).to_df()
    assert found["departures"].tolist() == [30]


def test_the_newest_row_of_each_entity_is_pulled_from_the_range_of_events(store: FeatureStore) -> None:
    source = store.get_feature_view("traffic").batch_source
    columns = (["airport"], ["departures"], "event_timestamp", "created_timestamp")
    job = EsteiraOfflineStore.pull_latest_from_table_or_query(store.config, source, *columns, at(0), at(1))
    assert sorted((row["airport"], row["departures"]) for row in job.to_arrow().to_pylist()) == [
        ("JFK", 99),
        ("LGA", 20),
    ]
    every = EsteiraOfflineStore.pull_all_from_table_or_query(store.config, source, *columns, at(1), at(2))
    assert sorted(every.to_df()["departures"]) == [20, 30, 99]
    assert EsteiraOfflineStore.pull_all_from_table_or_query(store.config, source, *columns).to_arrow().num_rows == 4
    with pytest.raises(WrongColumns, match="'departures' of the rows of data source 'traffic_table' is Int32"):
        EsteiraOfflineStore.pull_all_from_table_or_query(store.config, source, ["airport"], [], "departures")
    with pytest.raises(FeastJoinKeysDuringMaterialization):
        EsteiraOfflineStore.pull_all_from_table_or_query(store.config, source, ["runway"], *columns[1:])


def test_views_materialise_into_an_online_store_also_without_entities(own_store: FeatureStore) -> None:
    own_store.materialize(at(-1), at(12))
    found = own_store.get_online_features(
        ["traffic:departures", "planes:age", "calendar:holiday"], [{"airport": "JFK", "tail": 2}]
    ).to_dict()
    assert found["departures"] == [30]
    assert found["age"] == [7.0]
    assert found["holiday"] == ["Easter"]


@pytest.mark.parametrize("view", ["traffic", "planes", "calendar"])
def test_appended_rows_are_read_back_from_delta_folder_and_file(own_store: FeatureStore, view: str) -> None:
    rows = {
        "traffic": TRAFFIC.head(1).with_columns(departures=pl.lit(77), event_timestamp=pl.lit(at(6), MOMENT)),
        "planes": TAILS.head(1).with_columns(age_years=pl.lit(77), observed=pl.lit(at(6), MOMENT)),
        "calendar": CALENDAR.head(1).with_columns(holiday=pl.lit("77"), event_timestamp=pl.lit(at(6), MOMENT)),
    }[view].with_columns(pl.col(pl.Datetime).dt.convert_time_zone("America/New_York"))
    own_store.write_to_offline_store(view, rows.to_pandas())
    entities = asked(airport=["JFK"], tail=[1], event_timestamp=[at(7)])
    feature = {"traffic": "departures", "planes": "age", "calendar": "holiday"}[view]
    found = own_store.get_historical_features(entities, [f"{view}:{feature}"]).to_df()
    assert [str(value) for value in found[feature]] in (["77"], ["77.0"])


def test_the_first_write_creates_what_the_view_declares(own_store: FeatureStore, tmp_path: Path) -> None:
    for name, source in {
        "fresh_delta": FileSource(path="fresh", file_format=DeltaFormat(), timestamp_field="event_timestamp"),
        "fresh_file": FileSource(path="deep/fresh.parquet", timestamp_field="event_timestamp"),
    }.items():
        view = FeatureView(name=name, schema=[Field(name="gusts", dtype=Int32)], source=source)
        rows = pa.table({"gusts": [3, None], "event_timestamp": pa.array([at(0), at(1)], pa.timestamp("ns", "UTC"))})
        written: list[int] = []
        EsteiraOfflineStore.offline_write_batch(own_store.config, view, rows, written.append)
        assert written == [2]
    assert dict(pl.read_parquet(tmp_path / "deep" / "fresh.parquet").schema) == {
        "gusts": pl.Int32,
        "event_timestamp": MOMENT,
    }
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["fresh.parquet"]
    assert DeltaTable(str(tmp_path / "fresh")).version() == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda rows: rows.drop("departures"), r"columns \['departures'\] are missing"),
        (lambda rows: rows.with_columns(gate=pl.lit(1)), r"\['gate'\] are not in its source"),
        (lambda rows: rows.with_columns(departures=pl.lit("many")), "'departures' is String"),
        (lambda rows: rows.with_columns(departures=pl.lit(1.5)), "'departures' is Float64"),
        (lambda rows: rows.with_columns(departures=pl.lit(2**40)), "'departures' does not fit"),
        (lambda rows: rows.with_columns(airport=pl.lit(None, pl.String)), r"\['airport'\] hold nulls"),
        (lambda rows: rows.with_columns(pl.col("event_timestamp").dt.replace_time_zone(None)), "without time zone"),
    ],
)
def test_rows_that_are_not_what_the_view_declares_are_refused_whole(
    store: FeatureStore, change: Any, complaint: str
) -> None:
    view = store.get_feature_view("traffic")
    with pytest.raises(WrongColumns, match=complaint):
        EsteiraOfflineStore.offline_write_batch(store.config, view, change(TRAFFIC).to_arrow(), None)
    assert DeltaTable(view.batch_source.path).version() == 0


def test_logged_features_are_appended_in_partitions_and_read_back(own_store: FeatureStore) -> None:
    service = own_store.get_feature_service("everything")
    schema = FeatureServiceLoggingSource(service, own_store.project).get_schema(own_store.registry)
    moments = {"__log_timestamp": [at(1), at(30)], "__log_date": [at(1).date(), at(30).date()]}
    logs = pa.table({name: moments.get(name, [None, None]) for name in schema.names}, schema=schema)
    own_store.write_logged_features(logs, service)
    own_store.write_logged_features(logs, service)
    folder = Path(own_store.config.repo_path) / "logs"
    assert sorted(each.name for each in folder.iterdir()) == ["__log_date=2013-03-01", "__log_date=2013-03-02"]
    read = own_store._get_provider().retrieve_feature_service_logs(
        service, at(0), at(2), own_store.config, own_store.registry
    )
    assert read.to_df()["__log_timestamp"].tolist() == [at(1), at(1)]
    with pytest.raises(WrongColumns, match="logs lack the columns"):
        own_store.write_logged_features(logs.drop_columns(["__log_date"]), service)


@pytest.mark.parametrize("file_format", [ParquetFormat(), DeltaFormat()])
@pytest.mark.parametrize("path", ["saved/one.parquet", "saved/folder"])
def test_a_saved_dataset_holds_on_demand_features_and_is_not_overwritten_unasked(
    store: FeatureStore, tmp_path: Path, file_format: Any, path: str
) -> None:
    entities = asked(airport=["JFK", "LGA"], seats=[2, 3], event_timestamp=[at(3), at(3)])
    job = store.get_historical_features(entities, ["traffic:departures", "load:seats_departing"])
    storage = SavedDatasetFileStorage(path=str(tmp_path / path), file_format=file_format)
    saved = store.create_saved_dataset(job, "loads", storage, allow_overwrite=True)
    assert saved.to_df().sort_values("airport")["seats_departing"].tolist() == [60, 60]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)
    assert store.get_saved_dataset("loads").to_df()["departures"].tolist() == [30, 20]


def test_missing_sources_columns_and_foreign_sources_are_named(store: FeatureStore) -> None:
    entities = asked(airport=["JFK"], event_timestamp=[at(3)])
    registry = store.registry

    def ask(source: Any, feature: str = "departures") -> Any:
        view = FeatureView(name="odd", schema=[Field(name=feature, dtype=Int64)], source=source)
        view.entity_columns = []
        return EsteiraOfflineStore.get_historical_features(
            store.config, [view], [f"odd:{feature}"], entities, registry, store.project
        )

    with pytest.raises(MissingData, match="Cannot read data source 'nowhere'"):
        ask(FileSource(path="nowhere", timestamp_field="event_timestamp"))
    with pytest.raises(MissingData, match="Cannot read data source 'nowhere'"):
        ask(FileSource(path="nowhere", timestamp_field="event_timestamp", file_format=DeltaFormat()))
    with pytest.raises(WrongColumns, match=r"needs the columns \['runways'\]"):
        ask(FileSource(path="calendar.parquet", timestamp_field="event_timestamp"), "runways")
    with pytest.raises(FeastOfflineStoreUnsupportedDataSource, match="BigQuerySource"):
        ask(BigQuerySource(table="a.b.c", timestamp_field="event_timestamp"))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="knowledge_tyme"):
        EsteiraOfflineStoreConfig(type=TYPE, knowledge_tyme=True)
