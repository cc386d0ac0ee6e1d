import multiprocessing
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, MOMENT, utc
from esteira.errors import DataError, MissingData, UnknownName, WrongColumns
from esteira.settings import REPOSITORY
from esteira.stores.data import tables

SCHEMA = {"key": pl.String(), "value": pl.Int64(), EVENT: MOMENT, CREATED: MOMENT}


def rows(*values: int, at: str = "2013-01-01") -> pl.DataFrame:
    moment = utc(at)
    return pl.DataFrame([("a", value, moment, moment) for value in values], schema=SCHEMA, orient="row")


def test_the_same_slice_twice_is_the_same_version(home: Path) -> None:
    first = tables.append("things", rows(1, 2), until=utc("2013-01-02"))
    again = tables.append("things", rows(1, 2), until=utc("2013-01-02"))
    assert first == again
    assert sorted(tables.read("things")["value"]) == [1, 2]


def test_an_empty_slice_moves_the_horizon_and_nothing_else(home: Path) -> None:
    tables.append("things", rows(1), until=utc("2013-01-02"))
    tables.append("things", rows(), until=utc("2013-01-03"))
    assert tables.horizon("things") == utc("2013-01-03")
    assert tables.read("things").height == 1


def test_a_first_slice_without_rows_creates_the_table_with_its_types(home: Path) -> None:
    tables.append("things", rows(), until=utc("2013-01-02"))
    assert dict(tables.read("things").schema) == SCHEMA


def test_writers_keep_horizons_of_their_own(home: Path) -> None:
    tables.append("things", rows(1), until=utc("2013-01-02"))
    tables.append("things", rows(), until=utc("2013-01-01"), writer="online")
    assert tables.horizon("things", writer="online") == utc("2013-01-01")
    assert tables.horizon("things") == utc("2013-01-02")


def test_a_slice_computed_from_an_older_horizon_is_refused_whole(home: Path) -> None:
    tables.append("things", rows(1), after=None, until=utc("2013-01-02"))
    with pytest.raises(DataError, match="at the same time"):
        tables.append("things", rows(1, 2), after=None, until=utc("2013-01-03"))
    assert tables.read("things")["value"].to_list() == [1]


def test_older_versions_stay_readable(home: Path) -> None:
    tables.append("things", rows(1), until=utc("2013-01-02"))
    tables.append("things", rows(2), until=utc("2013-01-03"))
    assert tables.read("things", at_version=0)["value"].to_list() == [1]
    with pytest.raises(UnknownName, match="no version 7"):
        tables.read("things", at_version=7)


def test_reading_selects_columns_and_times(home: Path) -> None:
    tables.append("things", pl.concat([rows(1), rows(2, at="2013-01-05")]), until=utc("2013-01-06"))
    late = tables.read("things", columns=["value"], event_from=utc("2013-01-02"))
    assert late.to_dict(as_series=False) == {"value": [2]}
    assert tables.read("things", created_until=utc("2013-01-02"))["value"].to_list() == [1]
    assert tables.read("things", created_after=utc("2013-01-02"))["value"].to_list() == [2]


def test_many_small_slices_are_compacted_and_lose_neither_rows_nor_horizon_nor_history(home: Path) -> None:
    moments = [utc("2013-01-02") + timedelta(hours=hour) for hour in range(70)]
    for place, moment in enumerate(moments):
        tables.append("things", rows(place), until=moment)
    assert len(list((home / "tables" / "things" / "_delta_log").glob("*.checkpoint.parquet"))) >= 3
    tables._handles.clear()  # as a process that starts now
    assert sorted(tables.read("things")["value"]) == list(range(70))
    assert len(tables._handles) == 1
    assert len(next(iter(tables._handles.values())).file_uris()) <= 33
    assert tables.horizon("things") == moments[-1]
    assert sorted(tables.read("things", at_version=4)["value"]) == list(range(5))


def test_a_reader_sees_what_another_process_wrote(home: Path) -> None:
    tables.append("things", rows(1), until=utc("2013-01-02"))
    assert tables.read("things").height == 1
    code = (
        "from tests.stores.data.test_tables import rows, tables, utc; "
        "tables.append('things', rows(2), until=utc('2013-01-03'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
    assert sorted(tables.read("things")["value"]) == [1, 2]


def test_rows_with_other_columns_are_refused_and_nothing_is_written(home: Path) -> None:
    tables.append("things", rows(1), until=utc("2013-01-02"))
    with pytest.raises(WrongColumns, match="value"):
        tables.append("things", rows(2).cast({"value": pl.Float64}), until=utc("2013-01-03"))
    assert tables.horizon("things") == utc("2013-01-02")


def test_a_table_that_is_not_there_is_named_with_those_that_are(home: Path) -> None:
    tables.append("things", rows(1), until=utc("2013-01-02"))
    with pytest.raises(MissingData, match=r"'thing' does not exist.*things.*ingest"):
        tables.read("thing")


CREATED_AT_ONCE = [f"things_{each}" for each in range(40)]


def _append(
    value: int, until: datetime, start: "multiprocessing.synchronize.Barrier", done: "multiprocessing.Queue[str]"
) -> None:
    after = tables.horizon("things")
    start.wait()
    try:
        tables.append("things", rows(value), after=after, until=until)
    except DataError:
        done.put("refused")
    else:
        done.put("written")


@pytest.mark.slow
def test_of_two_writers_at_once_one_wins_and_no_row_comes_twice(home: Path) -> None:
    tables.append("things", rows(0), until=utc("2013-01-01T00:00:01Z"))
    spawn = multiprocessing.get_context("spawn")
    start, done = spawn.Barrier(2), spawn.Queue()
    writers = [
        spawn.Process(target=_append, args=(value, utc(f"2013-01-0{value + 1}"), start, done)) for value in (1, 2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(done.get() for _ in writers) in (["refused", "written"], ["written", "written"])
    kept = tables.read("things")["value"].to_list()
    assert len(kept) == 2


def _create(start: "multiprocessing.synchronize.Barrier", done: "multiprocessing.Queue[str]") -> None:
    for name in CREATED_AT_ONCE:
        start.wait()
        try:
            tables.append(name, rows(1), after=None, until=utc("2013-01-01"))
        except DataError:
            done.put("refused")
        else:
            done.put("written")


@pytest.mark.slow
def test_a_table_that_two_writers_create_at_once_has_its_rows_once(home: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, done = spawn.Barrier(2), spawn.Queue()
    writers = [spawn.Process(target=_create, args=(start, done)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [tables.read(name).height for name in CREATED_AT_ONCE] == [1] * len(CREATED_AT_ONCE)
    assert {done.get() for _ in 2 * CREATED_AT_ONCE} == {"written"}, "the second finds the slice that was asked for"
