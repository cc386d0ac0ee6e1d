import itertools
from datetime import timedelta

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, FeatureTable, Frames, utc
from esteira.errors import WrongColumns
from esteira.features.tables import compute_rows, earliest_needed

DAY = timedelta(days=1)
START = utc("2013-03-01")


def double(raw: Frames) -> pl.DataFrame:
    return raw["events"].with_columns(pl.col("value") * 2)


TABLE = FeatureTable(name="doubled", keys=("key",), reads=("events",), lookback=2 * DAY, compute=double)
EVENTS = pl.DataFrame(
    {
        "key": ["a", "b", "a"],
        "value": [1, 2, 3],
        EVENT: [START, START + DAY, START],
        CREATED: [START, START + DAY, START + 2 * DAY],
    }
).with_columns(pl.col(EVENT, CREATED).dt.cast_time_unit("us"))


def test_only_what_became_known_in_the_slice_is_new() -> None:
    rows = compute_rows(TABLE, {"events": EVENTS}, after=START, until=START + DAY)
    assert rows["value"].to_list() == [4]


def test_a_chain_of_slices_gives_the_rows_of_a_backfill() -> None:
    backfill = compute_rows(TABLE, {"events": EVENTS}, after=None, until=START + 3 * DAY)
    edges = [None, START, START + DAY, START + 3 * DAY]
    chain = [
        compute_rows(TABLE, {"events": EVENTS}, after=after, until=until)
        for after, until in itertools.pairwise(edges)
        if until is not None
    ]
    assert pl.concat(chain).equals(backfill)


def test_a_late_record_reaches_back_from_its_event_not_from_its_arrival() -> None:
    late = EVENTS.filter(pl.col(CREATED) > START + DAY)
    assert earliest_needed(TABLE, {"events": late}) == START - 2 * DAY
    assert earliest_needed(TABLE, {"events": EVENTS.clear()}) is None


def test_a_computation_that_loses_a_key_or_a_time_is_named() -> None:
    def lossy(raw: Frames) -> pl.DataFrame:
        return raw["events"].drop("key")

    table = FeatureTable(name="lossy", keys=("key",), reads=("events",), lookback=DAY, compute=lossy)
    with pytest.raises(WrongColumns, match=r"'lossy'.*\['key'\]"):
        compute_rows(table, {"events": EVENTS}, after=None, until=START)
