from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.contract import MOMENT
from esteira.errors import DataError, NotEnoughData
from esteira.training.split import split_by_time

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def daily(days: int) -> pl.Series:
    return pl.Series([START + DAY * day for day in range(days)], dtype=MOMENT)


def test_the_newest_stretch_is_held_out_and_the_gaps_belong_to_neither_side() -> None:
    split = split_by_time(daily(30), holdout=7 * DAY, gap=2 * DAY, as_of=START + 30 * DAY)
    assert (split.holdout_from, split.holdout_until) == (START + 22 * DAY, START + 28 * DAY)
    assert (split.trained_from, split.trained_until) == (START, START + 19 * DAY)
    assert split.holdout.sum() == 7
    assert split.train.sum() == 20


def test_data_that_ends_long_before_as_of_is_split_at_its_own_end() -> None:
    split = split_by_time(daily(30), holdout=7 * DAY, gap=DAY, as_of=START + 100 * DAY)
    assert split.holdout_until == START + 29 * DAY


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=50),
    st.integers(1, 2000), st.integers(0, 500), st.integers(0, 3000),
)  # fmt: skip
def test_training_rows_are_older_than_held_out_ones_by_the_gap(
    minutes: list[int], holdout: int, gap: int, later: int
) -> None:
    times = pl.Series([START + timedelta(minutes=m) for m in minutes], dtype=MOMENT)
    as_of = START + timedelta(minutes=max(minutes) + later)
    try:
        split = split_by_time(times, holdout=timedelta(minutes=holdout), gap=timedelta(minutes=gap), as_of=as_of)
    except NotEnoughData:
        return
    assert not (split.train & split.holdout).any()
    assert split.holdout_from - split.trained_until > timedelta(minutes=gap) - timedelta(microseconds=1)
    assert split.holdout_until <= as_of - timedelta(minutes=gap)
    assert split.holdout_until - split.holdout_from < timedelta(minutes=holdout)


def test_too_little_data_says_how_much_there_is() -> None:
    with pytest.raises(NotEnoughData, match=r"5 rows .* 0 rows to train on, 4 to judge on"):
        split_by_time(daily(5), holdout=7 * DAY, gap=2 * DAY, as_of=START + 5 * DAY)
    with pytest.raises(NotEnoughData, match="no labelled row"):
        split_by_time(daily(0), holdout=DAY, gap=DAY, as_of=START)


def test_a_row_asked_for_after_as_of_is_refused() -> None:
    with pytest.raises(DataError, match="2 rows were asked for after as_of 2013-01-08"):
        split_by_time(daily(10), holdout=DAY, gap=DAY, as_of=START + 7 * DAY)
