"""Windowed features: equal to a brute-force oracle, whatever arrives late, and however the history is sliced."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import polars.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.contract import CREATED, EVENT, MOMENT
from esteira.features.rolling import Window, rolling

START = datetime(2013, 3, 1, tzinfo=UTC)
SCHEMA = {"id": pl.Int64(), "key": pl.String(), "value": pl.Float64(), EVENT: MOMENT, CREATED: MOMENT}
WINDOWS = [
    Window("mean_2m", "value", "mean", timedelta(minutes=2)),
    Window("sum_5m", "value", "sum", timedelta(minutes=5)),
    Window("count_5m", "value", "count", timedelta(minutes=5)),
    Window("last_5m", "value", "last", timedelta(minutes=5)),
]
Event = tuple[int, str | None, float | None, int, int]


def frame(events: list[Event]) -> pl.DataFrame:
    """Rows (id, key, value, minute of the event, minutes until known)."""
    rows = [
        (id_, key, value, START + timedelta(minutes=at), START + timedelta(minutes=at + delay))
        for id_, key, value, at, delay in events
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def computed(events: pl.DataFrame) -> dict[tuple[str, datetime, datetime], dict[str, Any]]:
    rows = rolling(events, keys=["key"], record=["id"], windows=WINDOWS)
    found = {(row["key"], row[EVENT], row[CREATED]): row for row in rows.iter_rows(named=True)}
    assert len(found) == rows.height, "a state stands twice"
    return found


def oracle(events: pl.DataFrame, key: str, at: datetime, by: datetime) -> dict[str, Any]:
    """The windows at ``at`` as known ``by``, straight from the definition."""
    newest: dict[int, dict[str, Any]] = {}
    for row in events.sort(CREATED, maintain_order=True).iter_rows(named=True):
        if row[CREATED] <= by:
            newest[row["id"]] = row
    known = sorted(
        (row for row in newest.values() if row["key"] == key and row[EVENT] <= at),
        key=lambda row: (row[EVENT], row[CREATED], row["id"]),
    )

    def within(minutes: int) -> list[dict[str, Any]]:
        return [row for row in known if at - row[EVENT] < timedelta(minutes=minutes)]

    short = [row["value"] for row in within(2) if row["value"] is not None]
    long = [row["value"] for row in within(5) if row["value"] is not None]
    return {
        "mean_2m": sum(short) / len(short) if short else None,
        "sum_5m": sum(long),
        "count_5m": len(long),
        "last_5m": within(5)[-1]["value"] if within(5) else None,
    }


def check_against_oracle(events: pl.DataFrame) -> None:
    found = computed(events)
    for (key, at, by), row in found.items():
        expected = oracle(events, key, at, by)
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-5), (key, at, by)
    # Whatever is asked, the newest state known by then is the truth of then: no change went without a row.
    owned = events.filter(pl.col("key").is_not_null())
    for key, at in owned.select("key", EVENT).unique().iter_rows():
        states = {by: row for (a_key, an_event, by), row in found.items() if (a_key, an_event) == (key, at)}
        first_known = owned.filter((pl.col("key") == key) & (pl.col(EVENT) == at))[CREATED].min()
        assert min(states) == first_known
        for by in owned[CREATED].unique():
            if by >= first_known:
                newest = states[max(state for state in states if state <= by)]
                expected = oracle(events, key, at, by)
                assert {name: newest[name] for name in expected} == pytest.approx(expected, abs=1e-5), (key, at, by)


values = st.one_of(st.none(), st.integers(-50, 50).map(float), st.sampled_from([0.1, 0.25, 33.33]))
keys = st.sampled_from(["EWR", "JFK", None])
minutes = st.integers(0, 12)
late_events = st.lists(
    st.tuples(st.integers(0, 8), keys, values, minutes, st.sampled_from([0, 0, 0, 1, 3, 9])), max_size=14
)


def without_ambiguity(events: list[Event]) -> list[Event]:
    """One version of a record a moment: two that arrive together have no newest."""
    return list({(id_, at + delay): (id_, key, value, at, delay) for id_, key, value, at, delay in events}.values())


@given(late_events)
def test_every_state_equals_the_definition_with_late_and_corrected_records(events: list[Event]) -> None:
    check_against_oracle(frame(without_ambiguity(events)))


@given(st.lists(st.tuples(keys, values, minutes), max_size=20))
def test_in_order_records_give_one_row_a_moment(events: list[tuple[str | None, float | None, int]]) -> None:
    rows = frame([(id_, key, value, at, 0) for id_, (key, value, at) in enumerate(events)])
    check_against_oracle(rows)
    assert len(computed(rows)) == rows.filter(pl.col("key").is_not_null()).select("key", EVENT).n_unique()


@given(late_events, st.lists(st.integers(0, 21), max_size=4))
def test_increments_give_the_same_rows_as_a_backfill_to_the_last_bit(events: list[Event], cuts: list[int]) -> None:
    everything = frame(without_ambiguity(events))
    by_slices: list[pl.DataFrame] = []
    bounds = sorted({-1, *cuts, 99})
    for after, until in itertools.pairwise(bounds):
        low, high = (START + timedelta(minutes=bound) for bound in (after, until))
        new = everything.filter((pl.col(CREATED) > low) & (pl.col(CREATED) <= high))
        if new.is_empty():
            continue
        # A correction may move a record: its old version is history too, so the look-back covers the widest move.
        needed = new[EVENT].min() - timedelta(minutes=5 + 12)  # type: ignore[operator]
        history = everything.filter((pl.col(CREATED) <= high) & (pl.col(EVENT) >= needed))
        rows = rolling(history, keys=["key"], record=["id"], windows=WINDOWS)
        by_slices.append(rows.filter((pl.col(CREATED) > low) & (pl.col(CREATED) <= high)))
    backfill = rolling(everything, keys=["key"], record=["id"], windows=WINDOWS)
    joined = pl.concat(by_slices) if by_slices else backfill.clear()
    pl.testing.assert_frame_equal(joined, backfill, check_row_order=False, check_exact=True)


@given(late_events)
def test_one_entity_computed_alone_now_gives_its_rows_of_the_backfill_to_the_last_bit(events: list[Event]) -> None:
    everything = frame(without_ambiguity(events))
    backfill = rolling(everything, keys=["key"], record=["id"], windows=WINDOWS)
    now = START + timedelta(minutes=12)
    for key in everything["key"].drop_nulls().unique():
        # Records may change their key when they are corrected; one entity needs every version of its records.
        ids = everything.filter(pl.col("key") == key)["id"].unique()
        known = everything.filter(pl.col("id").is_in(ids.to_list()) & (pl.col(CREATED) <= now))
        alone = rolling(known, keys=["key"], record=["id"], windows=WINDOWS)
        pl.testing.assert_frame_equal(
            alone.filter(pl.col("key") == key),
            backfill.filter((pl.col("key") == key) & (pl.col(CREATED) <= now)),
            check_row_order=False,
            check_exact=True,
        )


def test_a_late_record_reopens_only_the_rows_it_falls_into_and_overwrites_nothing() -> None:
    in_order: list[Event] = [(1, "EWR", 10.0, 0, 0), (2, "EWR", 20.0, 3, 0), (3, "EWR", 30.0, 9, 0)]
    before = computed(frame(in_order))
    after = computed(frame([*in_order, (4, "EWR", 60.0, 1, 10)]))
    assert before.items() <= after.items()
    reopened = {(at - START).total_seconds() / 60 for _, at, by in after.keys() - before.keys()}
    assert reopened == {1.0, 3.0}
    assert after["EWR", START + timedelta(minutes=3), START + timedelta(minutes=11)]["sum_5m"] == 90.0


def test_sums_do_not_depend_on_what_lies_before_the_window() -> None:
    tenths: list[Event] = [(id_, "EWR", 0.1, id_, 0) for id_ in range(1000)]
    rows = rolling(frame(tenths), keys=["key"], record=["id"], windows=WINDOWS)
    assert rows["sum_5m"][5:].n_unique() == 1
    assert rows["sum_5m"][-1] == pytest.approx(0.5, abs=1e-5)


def test_a_record_without_a_key_gives_no_row() -> None:
    assert rolling(frame([(1, None, 5.0, 0, 0)]), keys=["key"], record=["id"], windows=WINDOWS).is_empty()
