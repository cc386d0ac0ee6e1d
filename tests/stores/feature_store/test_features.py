"""The feature store on copies of the shipped repository: Redis, planted features, repeated definitions."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
import redis
import yaml
from typer.testing import CliRunner

from esteira import use_cases
from esteira.cli import app
from esteira.contract import CREATED, EVENT, FeatureTable, Frames, UseCase, utc
from esteira.errors import FeatureError
from esteira.features.online_base import reading_at
from esteira.features.online_view import online_view
from esteira.features.rolling import Window
from esteira.settings import REPOSITORY
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures, write_online
from esteira.use_cases.flight_delay import USE_CASE
from flows.steps import data, training
from tests.conftest import forget_home
from tests.features.online_repo import need_redis
from tests.stores.feature_store.planted import use_repository

pytestmark = pytest.mark.slow
NAME, AS_OF = "flight_delay", utc("2013-01-08T12:00:00Z")
PLANTED = """
from datetime import timedelta
from feast import FeatureService
from flights import count, flight_id, flight_plan, number, origin, view

landing = view("landing", "How it landed.", [flight_id], [number("landing_delay", "Minutes.")],
               ttl=timedelta(days=9), reads="arrivals")
offline_plan = view("offline_plan", "As published.", [flight_id], [count("planned_miles", "Miles.")],
                    ttl=timedelta(days=90), reads="schedules")
offline_plan.online = {online}
delays = view("delays", "Delays again.", [origin], [number("delay_lately", "Mean delay of 3 hours.")],
              ttl=timedelta(hours=3), reads="departures", window="3h")
planted = FeatureService(name="planted", features=[flight_plan[["distance_miles"]], {used}])
"""


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    forget_home()


def landing(frames: Frames) -> pl.DataFrame:
    return frames["arrivals"].select("flight_id", EVENT, CREATED, landing_delay=pl.col("arr_delay").cast(pl.Float64))


def offline_plan(frames: Frames) -> pl.DataFrame:
    return frames["schedules"].select("flight_id", EVENT, CREATED, planned_miles="distance")


def no_delays(frames: Frames) -> pl.DataFrame:
    rows = frames["departures"].clear()
    return rows.select("origin", EVENT, CREATED, delay_lately=pl.lit(None, pl.Float64))


def table(name: str, compute: object, reads: str, **more: object) -> FeatureTable:
    keys = ("origin",) if name == "delays" else ("flight_id",)
    return FeatureTable(name=name, keys=keys, reads=(reads,), lookback=timedelta(0), compute=compute, **more)  # type: ignore[arg-type]


def belt_with(patch: pytest.MonkeyPatch, *planted: FeatureTable) -> UseCase:
    declared = replace(USE_CASE, feature_service="planted", feature_tables=(*USE_CASE.feature_tables, *planted))
    patch.setattr(use_cases, "get", lambda _: declared)
    return declared


def ingest() -> None:
    for step in (data.append_raw, data.append_features):
        step.fn(NAME, AS_OF)
    data.apply_feature_repository.fn()
    data.write_online.fn(NAME, AS_OF)


def test_training_on_a_feature_known_only_after_the_question_is_refused(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_repository(patch, tmp_path, planted=PLANTED.format(online=True, used="landing, offline_plan"))
    belt_with(patch, table("landing", landing, "arrivals"), table("offline_plan", offline_plan, "schedules"))
    ingest()
    with pytest.raises(
        FeatureError, match=r"'planted' that will not exist.* 'landing_delay': not one of [\d,]+ quest"
    ) as no:
        training.build_training_set.fn(NAME, AS_OF)
    assert "planned_miles" not in str(no.value)
    assert "distance_miles" not in str(no.value)
    assert not (tmp_path / "home" / "training_sets").exists()


@pytest.mark.parametrize(("online", "obstacle"), [(False, "online=False"), (True, "never been written to the online")])
def test_training_on_a_feature_that_never_reaches_the_online_store_is_refused(
    patch: pytest.MonkeyPatch, tmp_path: Path, online: bool, obstacle: str
) -> None:
    use_repository(patch, tmp_path, planted=PLANTED.format(online=online, used="offline_plan"))
    belt_with(patch)
    ingest()
    plan = offline_plan(tables.read_known(["schedules"], AS_OF))
    tables.append("offline_plan", plan, until=AS_OF)
    with pytest.raises(FeatureError, match=f"'planned_miles': .*{obstacle}"):
        training.build_training_set.fn(NAME, AS_OF)


def test_applying_a_feature_that_repeats_another_warns_and_names_the_original(
    patch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use_repository(patch, tmp_path, planted=PLANTED.format(online=True, used="delays"))
    again = Window("delay_lately", "dep_delay", "mean", timedelta(hours=3))
    belt_with(patch, table("delays", no_delays, "departures", windows=(again,)))
    features.apply()
    assert "'delay_lately' of view 'delays' repeats 'origin_dep_delay_mean_3h' of view 'origin_traffic'" in caplog.text
    caplog.clear()
    features.apply()
    assert not caplog.text
    listed = CliRunner().invoke(app, ["features", "list"], env={"COLUMNS": "240"}).stdout
    assert "Warning: Feature 'delay_lately' of view 'delays' repeats" in listed


def test_applying_the_shipped_repository_warns_of_nothing(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    features.apply()
    assert features.catalogue()
    assert "repeats" not in caplog.text


def test_both_configurations_differ_in_the_online_store_alone() -> None:
    shared = []
    for file in ("feature_store.yaml", "feature_store_redis.yaml"):
        told = yaml.safe_load((REPOSITORY / "feature_repo" / file).read_text())
        online = told.pop("online_store")
        assert online["type"].startswith("esteira.features.online_store.")
        shared.append(told)
    assert shared[0] == shared[1]


@pytest.mark.services
def test_a_slice_written_to_redis_is_read_back_as_the_offline_join_gives_it(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need_redis()
    project = f"test_{uuid4().hex[:12]}"
    patch.setenv("ESTEIRA_ONLINE_STORE", "redis")
    patch.setenv("ESTEIRA_REDIS_URL", "localhost:6379,db=15")
    use_repository(patch, tmp_path, project=project)
    ingest()
    client = redis.Redis(db=15)
    try:
        assert list(client.scan_iter(f"*{project}*"))
        assert not (tmp_path / "home" / "feast" / "online.db").exists()
        entities = USE_CASE.build_entities(tables.read_known(USE_CASE.entity_reads, AS_OF))
        asked = (
            entities.filter(pl.col(EVENT) > AS_OF)
            .sort(EVENT)
            .head(300)
            .with_columns(pl.lit(AS_OF).alias(EVENT), predicted_at=pl.lit(int(AS_OF.timestamp())))
        )
        found = OnlineFeatures(features.open_store(), USE_CASE.feature_service).read(
            asked.to_dict(as_series=False), AS_OF
        )
        joined = features.build_training_set(USE_CASE.feature_service, asked)
        for name, values in found.values.items():
            assert values == pytest.approx(joined[name].to_list()), name
        assert any(value is not None for value in found.values["aircraft_last_dep_delay"])
    finally:
        features.open_store().teardown()
    assert not list(client.scan_iter(f"*{project}*"))


@pytest.mark.services
def test_two_homes_on_one_redis_share_no_value(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_redis()
    patch.setenv("ESTEIRA_ONLINE_STORE", "redis")
    patch.setenv("ESTEIRA_REDIS_URL", "localhost:6379,db=15")
    stores = []
    for number in (1, 2):
        use_repository(patch, tmp_path / f"place{number}")
        features.apply()
        stores.append(features.open_store())
    try:
        for number, store in enumerate(stores, start=1):
            layout = online_view(store.config, store.get_feature_view("flight_plan")).layout
            plan = pl.DataFrame({"flight_id": ["one"], EVENT: [AS_OF], CREATED: [AS_OF]}).with_columns(
                pl.lit(100 * number if name == "distance_miles" else None, dtype).alias(name)
                for name, dtype in layout.dtypes.items()
            )
            assert write_online(store, "flight_plan", plan) == 1
        with reading_at(AS_OF):
            found = [
                store.get_online_features(["flight_plan:distance_miles"], [{"flight_id": "one"}]).to_dict()
                for store in stores
            ]
        assert [each["distance_miles"] for each in found] == [[100], [200]]
        assert stores[0].project == stores[1].project
    finally:
        for store in stores:
            store.teardown()
