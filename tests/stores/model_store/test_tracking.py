import contextlib
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from esteira.errors import ModelError, UnknownName
from esteira.model_card import REQUIRED_FILES, Column, Estimate, ModelCard, SliceQuality
from esteira.settings import settings
from esteira.stores.model_store import runs, tracking

pytestmark = [
    pytest.mark.slow,  # MLflow needs seconds to start
    pytest.mark.usefixtures("home", "database"),
    # MLflow 3.17 maps a table with an option that SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The .*noload.* loader strategy:sqlalchemy.exc.SADeprecationWarning"),
]

AUC = Estimate(value=0.75, low=0.73, high=0.77, rows=5000)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, created once: its 67 migrations take seconds."""
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESTEIRA_HOME", str(home))
        settings.cache_clear()
        tracking.connect()
    settings.cache_clear()
    return home / "mlflow.db"


@pytest.fixture
def database(home: Path, empty_database: Path) -> None:
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")


def card_of(**changed: Any) -> ModelCard:
    moment = datetime(2013, 3, 1, tzinfo=UTC)
    known: dict[str, Any] = {
        "use_case": "flight_delay", "version": "2013-03-01-a", "kind": "binary", "purpose": "Test", "owner": "tests",
        "candidate": "trees", "parameters": {"max_depth": 3}, "selection": ("One.",),
        "feature_service": "flight_delay_v1",
        "columns": (Column(name="delay", type="number", view="history"),), "entity_values": {}, "as_of": moment,
        "trained_from": moment, "trained_until": moment, "training_rows": 200, "holdout_from": moment,
        "holdout_until": moment, "metrics": {"auc": AUC}, "baseline": {"log_loss": 0.5},
        "slices": (SliceQuality(slice="dest=St. John's (é)", metrics={"auc": AUC}),), "importances": {"delay": 1.0},
        "threshold": 0.5, "bounds": (0.0, 1.0), "data_versions": {"arrivals": 3}, "code_commit": "abc",
        "lock_sha256": "def", "seed": 1, "cause": "A test.", "run_id": "", "limits": ("Tests only.",),
        "parameters_source": "Declared.", "training_set_sha256": "0a", "code_sha256": "0b",
        "environment": {"python": "3.11"}, "hardware": "2 CPUs", "size_bytes": 1500, "one_row_ms": 0.2,
        "cost": {"wall_seconds": 12.5, "cpu_seconds": 20.0, "peak_memory_mb": 900.0},
    }  # fmt: skip
    return ModelCard(**{**known, **changed})


def record(*, without: str = "", tags: dict[str, str] | None = None, **changed: Any) -> str:
    artifacts = {name: b"png" for name in REQUIRED_FILES if name != without}
    return tracking.record_run(card_of(**changed), artifacts=artifacts, tags=tags or {})


def test_a_run_is_listed_with_everything_its_card_says() -> None:
    run_id = record(tags={"flow_run": "belt"})
    (run,) = runs.listed(["flight_delay"])
    assert (run.run_id, run.status, run.version) == (run_id, "FINISHED", "2013-03-01-a")
    row = {
        **{f"metrics.{name}": value for name, value in run.metrics.items()},
        **{f"parameters.{name}": value for name, value in run.parameters.items()},
        **{f"tags.{name}": value for name, value in run.facts.items()},
    }
    expected = {
        "metrics.auc": 0.75, "metrics.auc_low": 0.73, "metrics.baseline/log_loss": 0.5, "metrics.importance/delay": 1.0,
        "metrics.cost/wall_seconds": 12.5, "metrics.size_bytes": 1500.0,
        "parameters.max_depth": "3", "parameters.seed": "1",
        "tags.data_version/arrivals": "3", "tags.code_commit": "abc", "tags.feature_service": "flight_delay_v1",
        "tags.model_version": "2013-03-01-a", "tags.flow_run": "belt",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["metrics.slices/dest/St. John_s _é_/auc"] == 0.75
    assert {"tags.python", "tags.hardware"} <= row.keys()
    kept = {path.name: path.read_bytes() for path in settings().artifacts_path.rglob("*") if path.is_file()}
    assert kept["calibration.png"] == b"png"
    assert ModelCard.model_validate_json(kept["card.json"]) == card_of()


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ({"code_commit": ""}, "code commit"),
        ({"lock_sha256": ""}, "lock SHA-256"),
        ({"data_versions": {}}, "data versions"),
        ({"cost": {}}, "cost"),
        ({"limits": ()}, "limits"),
        ({"without": "calibration.png"}, "calibration.png"),
    ],
)
def test_a_run_that_lacks_a_required_record_fails_and_stays_listed(missing: dict[str, Any], name: str) -> None:
    with pytest.raises(ModelError, match=f"lacks required records: {name}"):
        record(**missing)
    (listed,) = runs.listed(["flight_delay"])
    assert listed.status == "FAILED"
    assert name in listed.failure


def test_failed_and_finished_runs_are_listed_together_newest_first() -> None:
    tracking.record_failure("flight_delay", as_of="2013-02-01", reason="No labels.", tags={})
    record()
    listed = runs.listed(["flight_delay"])
    assert [each.status for each in listed] == ["FINISHED", "FAILED"]
    assert [each.failure for each in listed] == ["", "No labels."]
    assert listed[0].started >= listed[1].started


def test_a_use_case_never_trained_has_no_runs() -> None:
    assert runs.listed(["nothing"]) == []


def test_the_best_come_first_and_failures_last() -> None:
    for version, value in (("worse", 0.6), ("best", 0.9), ("middle", 0.7)):
        record(version=version, metrics={"auc": Estimate(value=value, low=0.5, high=0.95, rows=10)})
    tracking.record_failure("flight_delay", as_of="2013-02-01", reason="No labels.", tags={})
    best = runs.listed(["flight_delay"], by="auc")
    assert [each.version for each in best] == ["best", "middle", "worse", ""]
    assert [each.version for each in runs.listed(["flight_delay"], by="auc", limit=2)] == ["best", "middle"]
    with pytest.raises(UnknownName, match=r"metric 'acu'. Known: "):
        runs.listed(["flight_delay"], by="acu")


def test_a_run_is_found_by_its_id_or_by_the_model_it_came_to() -> None:
    run_id = record(version="2013-03-01-b")
    for name in (run_id, "2013-03-01-b", "flight_delay:2013-03-01-b"):
        assert runs.find(["flight_delay"], name).run_id == run_id
    with pytest.raises(UnknownName, match=r"Unknown run '2012'. Known: 2013-03-01-b"):
        runs.find(["flight_delay"], "2012")


def test_an_alias_moves_between_versions_and_back() -> None:
    record(version="one")
    record(version="two")
    for version in ("one", "two", "one", "one"):
        tracking.mark_alias("flight_delay", version, "champion")
        found = tracking.connect().get_model_version_by_alias("flight_delay", "champion")
        assert found.tags["model_version"] == version
    assert len(tracking.connect().search_model_versions("name='flight_delay'")) == 2
    with pytest.raises(UnknownName, match="No finished run recorded model version 'three'"):
        tracking.mark_alias("flight_delay", "three", "champion")


def test_cost_is_measured_also_when_the_work_fails() -> None:
    with contextlib.suppress(ZeroDivisionError), tracking.cost() as measured:
        time.sleep(0.02)
        _ = 1 / 0
    assert measured.wall_seconds >= 0.02
    assert measured.cpu_seconds < 0.02
    assert measured.peak_memory_mb > 20


def test_the_database_password_is_not_shown_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_TRACKING_URL", "postgresql://user:hidden@host/mlflow")
    settings.cache_clear()
    assert "hidden" not in repr(settings())
    assert "hidden" in settings().tracking
