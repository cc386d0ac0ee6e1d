from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, MOMENT, utc
from esteira.settings import settings
from esteira.stores.data import table_expiry, tables

DAY = utc("2013-03-01")


def write(days: int) -> None:
    for day in range(days):
        moment = DAY + timedelta(days=day)
        rows = pl.DataFrame({"n": range(20), EVENT: [moment] * 20, CREATED: [moment] * 20})
        rows = rows.cast({EVENT: MOMENT, CREATED: MOMENT, "n": pl.Int64})
        tables.append("arrivals", rows, until=moment, after=tables.horizon("arrivals") if day else ...)


def expire(days: int, *keep: int) -> int:
    before = DAY + timedelta(days=days, microseconds=1)
    return table_expiry.expire("arrivals", before, keep_versions=keep, reading=timedelta(0))


def test_rows_from_before_the_moment_are_gone_and_the_writer_goes_on_where_it_was(home: Path) -> None:
    write(10)
    assert expire(3) == 80
    assert expire(3) == 0
    left = tables.read("arrivals")
    assert (left.height, left[EVENT].min()) == (120, DAY + timedelta(days=4))
    write(11)
    assert tables.read("arrivals").height == 140


def test_versions_that_a_model_names_can_still_be_read_and_others_not(home: Path) -> None:
    write(10)
    assert expire(6, 2) == 140
    assert tables.read("arrivals", at_version=2).height == 60
    with pytest.raises(Exception, match=r"(?i)no such file|not found"):
        tables.read("arrivals", at_version=5)


def test_ninety_days_of_ingest_and_retention_do_not_fill_the_disk(home: Path) -> None:
    sizes = []
    for day in range(90):
        moment = DAY + timedelta(days=day)
        rows = pl.DataFrame({"n": range(500), EVENT: [moment] * 500, CREATED: [moment] * 500})
        tables.append("arrivals", rows.cast({EVENT: MOMENT, CREATED: MOMENT}), until=moment)
        expire(day - 7)
        data = (settings().tables_path / "arrivals").glob("*.parquet")
        sizes.append(sum(path.stat().st_size for path in data))
    assert max(sizes[30:]) <= 1.5 * max(sizes[10:30])
