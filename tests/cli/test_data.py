"""``esteira data`` on a small source, and on the real belt."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from esteira.cli import app
from esteira.contract import CREATED
from esteira.errors import EsteiraError, InputError, UnknownName
from esteira.stores.data import intake, quarantine, schemas, tables
from tests.conftest import Belt
from tests.data.orders import ORDERS, FrameSource
from tests.stores.data.test_intake import DAYS, HISTORY

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]


def run(*words: str) -> Result:
    found = CliRunner().invoke(app, words, catch_exceptions=True)
    if isinstance(found.exception, EsteiraError):
        raise found.exception
    return found


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> FrameSource:
    source = FrameSource(HISTORY, tmp_path / "shop.json")
    schemas.propose(source, DAYS[6])
    schemas.accept(source, actor="ana", reason="read")
    intake.take_in(source, ORDERS, DAYS[7])
    late = pl.col(CREATED) > DAYS[7]
    source.frame = HISTORY.with_columns(
        pl.when(late & pl.col("order_id").str.contains("[13579]$") & (pl.col("shop") == "west"))
        .then(pl.lit("north"))
        .otherwise("shop")
        .alias("shop"),
        pl.when(late & pl.col("order_id").str.ends_with("77")).then(-1.0).otherwise("amount").alias("amount"),
    )
    intake.take_in(source, ORDERS, DAYS[8])
    return source


def test_tables_are_listed_with_version_and_rows(shop: FrameSource) -> None:
    listed = run("data", "list").output
    assert "quarantine_orders" in listed
    assert f"{8 * 400 - 4:,}" in listed


def test_a_version_is_shown_with_its_values_and_what_the_checks_found(shop: FrameSource) -> None:
    shown = run("data", "show", "orders").output
    assert "400 arrived = 396 kept + 4 quarantined" in shown
    assert "quarantine: orders.amount: range: expected 0 to" in shown
    older = json.loads(run("data", "show", "orders", "--version", "0", "--json").output)
    assert older["columns"]["amount"]["count"] == 7 * 400
    assert set(older["columns"]["shop"]["most_frequent"]) == {"north", "south", "west"}
    assert "50%" in older["columns"]["amount"]["quantiles"]
    with pytest.raises(UnknownName, match="no version 9"):
        run("data", "show", "orders", "--version", "9")


def test_two_versions_are_compared_by_columns_rows_and_values(shop: FrameSource) -> None:
    found = run("data", "diff", "orders", "0", "1").output
    assert "2,800 to 3,196 rows (+396)" in found
    assert "Columns and types are the same." in found
    assert found.index("shop") < found.index("items"), "the most changed first"


def test_what_is_kept_apart_is_listed_with_reason_and_place(shop: FrameSource) -> None:
    listed = run("data", "quarantine", "orders").output
    assert "4 rows of orders were kept apart, 0 of them released." in listed
    assert "amount: range" in listed
    assert "shop.orders row" in listed


def test_schema_and_release_speak_of_the_real_source(belt: Belt) -> None:
    assert "weather" in run("data", "list").output
    assert "1 rows of weather were kept apart" in run("data", "quarantine", "weather").output
    assert "The proposed schema is the accepted one." not in run("data", "schema", "propose", "flight_delay").output
    assert "weather.columns.wind_speed.high: 120.0 becomes" in run("data", "schema", "diff", "flight_delay").output
    with pytest.raises(UnknownName, match=r"Unknown raw table 'wether'.*weather"):
        run("data", "release-quarantine", "flight_delay", "wether", "--reason", "so", "--all")
    with pytest.raises(InputError, match="--row ID"):
        run("data", "release-quarantine", "flight_delay", "weather", "--reason", "so")
    name = quarantine.read("weather")["quarantine_id"][0]
    run("data", "release-quarantine", "flight_delay", "weather", "--reason", "a test of release", "--row", name)
    assert quarantine.read("weather")["released_at"][0] > tables.horizon("weather")
    assert "released" in run("data", "quarantine", "weather").output
    assert "origin_traffic" in run("data", "show", "origin_traffic").output


def test_a_table_that_was_never_profiled_is_profiled_when_asked(belt: Belt) -> None:
    shown = run("data", "show", "carrier_traffic").output
    assert "carrier_dep_delay_mean_3h" in shown
