import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, MOMENT, utc
from esteira.errors import UnknownName
from esteira.settings import settings
from esteira.stewardship.traces import Traces
from esteira.stores.data import table_erasing, tables
from esteira.stores.stewardship import byte_scan, tombstones

DAY = utc("2013-03-01")
GONE = "N14228"
TRACES = Traces.of("tailnum", GONE, {"flight_id": ["f3-0", "f3-1"]})


def write(table: str, slices: int = 12, **columns: str) -> None:
    """Slices of 50 rows in which ``GONE`` is the greatest registration, so that Delta writes it into its log."""
    for day in range(slices):
        moment = DAY + timedelta(days=day)
        rows = pl.DataFrame(
            {
                "flight_id": [f"f{day}-{place}" for place in range(50)],
                "tailnum": [GONE if place == 3 else None if place == 4 else f"N0{place:04d}" for place in range(50)],
                "inputs": [json.dumps({"tailnum": GONE if place == 5 else "N0"}) for place in range(50)],
                EVENT: [moment] * 50,
                CREATED: [moment] * 50,
            },
            schema_overrides={EVENT: MOMENT, CREATED: MOMENT},
        )
        tables.append(table, rows, until=moment)


def test_the_rows_are_gone_from_every_version_and_from_the_log_and_nothing_else_is(home: Path) -> None:
    write("departures")
    before = tables.read("departures")
    assert byte_scan.places(home, [GONE])
    erased = table_erasing.erase("departures", TRACES)
    assert erased == 12 + 12 + 2
    assert byte_scan.places(home, [GONE, "f3-0"]) == []
    left = before.filter(
        (pl.col("tailnum") != GONE).fill_null(True),
        ~pl.col("inputs").str.contains(GONE),
        ~pl.col("flight_id").is_in(["f3-0", "f3-1"]),
    )
    assert tables.read("departures").sort("flight_id").equals(left.sort("flight_id"))
    assert tables.horizon("departures") == DAY + timedelta(days=11)
    with pytest.raises(Exception, match=r"(?i)not found|no such file"):
        tables.read("departures", at_version=3)
    assert len([each for each in tables.history("departures") if each["operation"] == "WRITE"]) == 12
    assert table_erasing.erase("departures", TRACES) == 0


def test_a_table_without_the_entity_keeps_its_versions(home: Path) -> None:
    write("departures", slices=3)
    version = tables.version("departures")
    assert table_erasing.erase("departures", Traces.of("tailnum", "N99999", {})) == 0
    assert tables.version("departures") == version
    assert tables.read("departures", at_version=1).height == 100


def test_a_slice_that_comes_again_or_late_leaves_out_what_was_forgotten(home: Path) -> None:
    tombstones.add({"tailnum": [GONE], "flight_id": ["f0-7"]})
    write("departures", slices=1)
    stored = tables.read("departures")
    assert stored.height == 48
    assert GONE not in stored["tailnum"].to_list()
    assert "f0-7" not in stored["flight_id"].to_list()
    assert stored["tailnum"].null_count() == 1
    assert GONE.encode() not in (settings().home / "ledger.db").read_bytes()


def test_what_a_killed_writer_left_behind_is_removed_too(home: Path) -> None:
    write("departures", slices=1)
    orphan = settings().tables_path / "departures" / "part-00000-never-committed.parquet"
    pl.DataFrame({"tailnum": [GONE]}).write_parquet(orphan)
    table_erasing.erase("departures", TRACES)
    assert not orphan.exists()


def test_rows_appended_after_forgetting_are_read_with_those_before(home: Path) -> None:
    write("departures", slices=11)
    table_erasing.erase("departures", TRACES)
    moment = DAY + timedelta(days=40)
    rows = tables.read("departures").head(2).with_columns(pl.lit(moment, dtype=MOMENT).alias(CREATED))
    tables.append("departures", rows, until=moment)
    assert tables.read("departures", created_after=DAY + timedelta(days=39)).height == 2
    with pytest.raises(UnknownName):
        tables.read("departures", at_version=999)
