"""Served predictions through the whole audit: a clean window, five injected faults, the command and the gate."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from esteira import use_cases
from esteira.cli import app
from esteira.contract import CREATED, EVENT
from esteira.errors import FeatureError, ReleaseError
from esteira.stores import clock
from esteira.stores.answers import predictions
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import fresh_store
from esteira.stores.releases import ledger
from esteira.stores.releases.live import Live
from flows.steps.judging import judge_challenger
from flows.steps.parity import audit_skew
from flows.steps.release import release_challenger
from tests.conftest import Belt, forget_home, use_home

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
NAME = "flight_delay"
TABLE = f"predictions_{NAME}"


@dataclass(frozen=True)
class Served:
    """Half a day's flights, asked about on a copy of the belt."""

    moment: datetime
    rows: pl.DataFrame


@pytest.fixture(scope="module")
def copy(belt: Belt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the belt's home to tamper with."""
    home = tmp_path_factory.mktemp("copy") / ".esteira"
    for part in ("tables", "feast", "bentoml"):
        shutil.copytree(belt.home / part, home / part)
    for file in belt.home.glob("ledger.db*"):  # SQLite's write-ahead log holds the newest rows
        shutil.copy(file, home)
    shutil.rmtree(home / "tables" / TABLE, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        use_home(patch, home)
        yield home
    forget_home()


def ask(belt: Belt) -> Served:
    """Ask about every flight of the next 12 hours, and collect what was logged."""
    moment = clock.horizon(belt.use_case)
    known = belt.use_case.build_entities(tables.read_known(belt.use_case.entity_reads, moment))
    due = known.filter((pl.col(EVENT) > moment) & (pl.col(EVENT) <= moment + timedelta(hours=12)))
    columns = due.drop(EVENT, CREATED).with_columns(predicted_at=pl.lit(int(moment.timestamp())))
    live = Live(belt.use_case, lambda _: columns.head(1).to_dict(as_series=False))
    live.start()
    try:
        asked = columns[belt.use_case.entity_id].to_list()
        asyncio.run(live.predict(asked, lambda _: columns.to_dict(as_series=False), as_of=moment))
    finally:
        live.stop()
    assert predictions.collect(NAME) == len(asked) > 100
    return Served(moment, predictions.read_predictions(NAME))


@pytest.fixture(scope="module")
def served(belt: Belt, copy: Path) -> Served:
    return ask(belt)


def write(home: Path, rows: pl.DataFrame) -> None:
    write_deltalake(str(home / "tables" / TABLE), rows, mode="overwrite")


@pytest.fixture
def tampered(copy: Path, served: Served) -> Iterator[Callable[[Callable[[dict[str, Any]], None]], None]]:
    """Change each logged prediction (its JSON columns as values) in the table; all is put back afterwards."""

    def tamper(change: Callable[[dict[str, Any]], None]) -> None:
        texts = ("inputs", "features", "event_times", "created_times")
        changed = []
        for row in served.rows.iter_rows(named=True):
            logged = {**row, **{name: json.loads(row[name]) for name in texts}}
            change(logged)
            changed.append({**logged, **{name: json.dumps(logged[name]) for name in texts}})
        write(copy, pl.DataFrame(changed, schema=served.rows.schema))

    yield tamper
    write(copy, served.rows)


def serve_expired_weather(logged: dict[str, Any]) -> None:
    seen = logged["as_of"] - timedelta(hours=13)
    logged["event_times"]["origin_weather"] = logged["created_times"]["origin_weather"] = seen.isoformat()
    logged["features"]["weather_temp"] -= 17.5


def log_seats_as_text(logged: dict[str, Any]) -> None:
    if logged["features"]["plane_seats"] is not None:
        logged["features"]["plane_seats"] = str(logged["features"]["plane_seats"])


def serve_zero_for_unknown_planes(logged: dict[str, Any]) -> None:
    if logged["features"]["plane_built_year"] is None:
        logged["features"]["plane_built_year"] = 0


def take_the_hour_in_utc(logged: dict[str, Any]) -> None:
    logged["features"]["local_hour"] = (logged["features"]["local_hour"] + 5) % 24


def lose_the_zone_of_event_times(logged: dict[str, Any]) -> None:
    seen = datetime.fromisoformat(logged["event_times"]["origin_weather"])
    logged["event_times"]["origin_weather"] = (seen - timedelta(hours=5)).isoformat()


@pytest.mark.parametrize(
    ("fault", "cause", "column"),
    [
        (serve_expired_weather, "expired", "weather_temp"),
        (log_seats_as_text, "type", "plane_seats"),
        (serve_zero_for_unknown_planes, "default", "plane_built_year"),
        (take_the_hour_in_utc, "time zone", "local_hour"),
        (lose_the_zone_of_event_times, "time zone", "origin_weather__event_timestamp"),
    ],
)
def test_a_fault_in_what_was_served_is_found_and_named(
    served: Served, tampered: Any, fault: Callable[[dict[str, Any]], None], cause: str, column: str
) -> None:
    tampered(fault)
    found = audit_skew.fn(NAME, served.moment)
    assert {name: list(columns) for name, columns in found.counts.items()} == {cause: [column]}
    assert found.unexplained == found.counts[cause][column] > 0
    assert cause in found.sentences[0]


def test_a_clean_window_has_no_unexplained_difference(served: Served, copy: Path) -> None:
    found = audit_skew.fn(NAME, served.moment)
    assert found.rows == served.rows.height
    assert (found.unexplained, found.counts) == (0, {}), found.sentences


def test_the_command_tells_a_clean_window_and_fails_on_a_fault(served: Served, tampered: Any) -> None:
    words = ["skew", NAME, "--as-of", served.moment.isoformat()]
    clean = CliRunner().invoke(app, words)
    assert clean.exit_code == 0, clean.exception
    assert "same online and offline" in clean.stdout
    tampered(log_seats_as_text)
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 1
    assert isinstance(found.exception, FeatureError)
    assert "plane_seats" in found.stdout
    assert "type" in found.stdout


def test_nothing_follows_a_release_whose_features_skew(
    belt: Belt, served: Served, tampered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = ledger.live(NAME)  # its own model is as good as it is: only parity can fail
    assert judge_challenger.fn(NAME, live.model_version, served.moment).verdict.passed
    tampered(log_seats_as_text)
    judged = judge_challenger.fn(NAME, live.model_version, served.moment)
    assert not judged.verdict.passed
    assert [check.name for check in judged.verdict.checks if not check.passed] == ["parity"]
    with pytest.raises(ReleaseError, match=r"Refused: parity.*differ from the offline path.*type: .*plane_seats"):
        release_challenger.fn(NAME, live.model_version, judged, served.moment)
    assert ledger.live(NAME) == live
    tolerant = replace(belt.use_case, gate=replace(belt.use_case.gate, mismatch=0.5))
    monkeypatch.setattr(use_cases, "get", lambda _: tolerant)
    assert judge_challenger.fn(NAME, live.model_version, served.moment).verdict.passed


def test_the_first_release_is_judged_without_a_window(belt: Belt, copy: Path) -> None:
    assert "parity" not in {check["name"] for check in ledger.releases(NAME)[-1].evidence["checks"]}


def test_a_row_that_never_reached_the_online_store_is_a_late_write(belt: Belt, copy: Path, served: Served) -> None:
    """Last in this file: the copy's online store is emptied of its weather."""
    store = features.open_store()
    weather = store.get_feature_view("origin_weather")
    fresh_store(store).teardown(store.config, [weather], [])
    fresh_store(store).update(store.config, [], [weather], [], [], partial=False)
    write(copy, served.rows.clear())
    again = ask(belt)
    found = audit_skew.fn(NAME, again.moment)
    assert list(found.counts) == ["late write"]
    assert all(name.startswith("weather_") for name in found.counts["late write"])
    assert found.unexplained == sum(found.counts["late write"].values()) > again.rows.height
