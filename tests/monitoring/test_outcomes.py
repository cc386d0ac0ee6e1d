from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from esteira.contract import MOMENT, utc
from esteira.errors import WrongColumns
from esteira.monitoring.outcomes import join_outcomes

NOW = utc("2013-03-10")
DAY = timedelta(days=1)


def predictions(*rows: tuple[str, str, str]) -> pl.DataFrame:
    columns = {
        "prediction_id": [row[0] for row in rows],
        "entity_id": [row[1] for row in rows],
        "as_of": [utc(row[2]) for row in rows],
        "prediction": [0.3] * len(rows),
    }
    kinds = {"prediction_id": pl.String, "entity_id": pl.String, "as_of": MOMENT, "prediction": pl.Float64}
    return pl.DataFrame(columns, schema=kinds)


def outcomes(*rows: tuple[str, float | None, str, str]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "entity_id": [row[0] for row in rows],
        "outcome": [row[1] for row in rows],
        "event_timestamp": [utc(row[2]) for row in rows],
        "created_timestamp": [utc(row[3]) for row in rows],
    }
    kinds = {"entity_id": pl.String, "outcome": pl.Float64, "event_timestamp": MOMENT, "created_timestamp": MOMENT}
    return pl.DataFrame(columns, schema=kinds)


def joined(asked: pl.DataFrame, revealed: pl.DataFrame, maturity: timedelta = DAY) -> dict[str, tuple[Any, str]]:
    found = join_outcomes(asked, revealed, as_of=NOW, maturity=maturity)
    return {row["prediction_id"]: (row["outcome"], row["status"]) for row in found.to_dicts()}


def test_a_prediction_meets_its_outcome_weeks_later() -> None:
    asked = predictions(("p", "flight", "2013-02-01"))
    assert joined(asked, outcomes(("flight", 1.0, "2013-02-02", "2013-03-09"))) == {"p": (1.0, "known")}


def test_an_outcome_that_becomes_known_after_as_of_is_not_used() -> None:
    asked = predictions(("p", "flight", "2013-03-01"))
    assert joined(asked, outcomes(("flight", 1.0, "2013-03-02", "2013-03-11"))) == {"p": (None, "pending")}


def test_a_correction_supersedes_what_was_known_before() -> None:
    asked = predictions(("p", "flight", "2013-03-01"))
    revealed = outcomes(("flight", 0.0, "2013-03-02", "2013-03-05"), ("flight", 1.0, "2013-03-02", "2013-03-03"))
    assert joined(asked, revealed) == {"p": (0.0, "known")}


def test_young_predictions_are_not_judged_even_when_their_outcome_is_there() -> None:
    asked = predictions(("young", "a", "2013-03-09T12:00:00"), ("due", "b", "2013-03-09"))
    revealed = outcomes(
        ("a", 1.0, "2013-03-09T13:00:00", "2013-03-09T14:00:00"), ("b", 0.0, "2013-03-09", "2013-03-09")
    )
    assert joined(asked, revealed) == {"young": (None, "young"), "due": (0.0, "known")}


def test_a_prediction_made_after_the_event_is_told_apart() -> None:
    asked = predictions(("late", "flight", "2013-03-03"), ("in time", "flight", "2013-03-01"))
    assert joined(asked, outcomes(("flight", 1.0, "2013-03-02", "2013-03-04"))) == {
        "late": (None, "belated"),
        "in time": (1.0, "known"),
    }


def test_outcomes_of_unknown_entities_and_without_value_change_nothing() -> None:
    asked = predictions(("p", "flight", "2013-03-01"))
    revealed = outcomes(("other", 1.0, "2013-03-02", "2013-03-02"), ("flight", None, "2013-03-02", "2013-03-02"))
    assert joined(asked, revealed) == {"p": (None, "pending")}


def test_a_segment_of_the_log_that_was_collected_twice_counts_once() -> None:
    asked = predictions(("p", "flight", "2013-03-01"), ("p", "flight", "2013-03-01"))
    assert joined(asked, outcomes()) == {"p": (None, "pending")}


def test_predictions_of_the_future_are_not_there_yet() -> None:
    assert joined(predictions(("p", "flight", "2013-03-11")), outcomes()) == {}


moments = st.integers(0, 12).map(lambda hours: (utc("2013-03-08") + timedelta(hours=6 * hours)).isoformat())
asked_rows = st.lists(
    st.tuples(st.integers(0, 999).map(str), st.sampled_from("abc"), moments), max_size=12, unique_by=lambda row: row[0]
)
revealed_rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from([0.0, 1.0, None]), moments, moments), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(asked_rows, revealed_rows, st.randoms(use_true_random=False))
def test_the_order_of_arrival_decides_nothing_and_no_prediction_is_lost(asked: Any, revealed: Any, random: Any) -> None:
    first = join_outcomes(predictions(*asked), outcomes(*revealed), as_of=NOW, maturity=DAY)
    again_asked, again_revealed = list(asked) * 2, list(revealed) * 2
    random.shuffle(again_asked)
    random.shuffle(again_revealed)
    again = join_outcomes(predictions(*again_asked), outcomes(*again_revealed), as_of=NOW, maturity=DAY)
    assert_frame_equal(first, again)
    expected = [row for row in asked if utc(row[2]) <= NOW]
    assert first.height == len(expected)
    for row in first.to_dicts():
        known = [
            each for each in revealed if each[0] == row["entity_id"] and each[1] is not None and utc(each[3]) <= NOW
        ]
        newest = max(known, key=lambda each: (utc(each[3]), utc(each[2]), each[1]), default=None)
        if row["status"] == "known":
            assert newest is not None
            assert row["outcome"] == newest[1]
            assert utc(newest[2]) >= row["as_of"]
        else:
            assert row["outcome"] is None


def test_a_frame_without_the_needed_columns_is_refused() -> None:
    with pytest.raises(WrongColumns, match="Cannot join predictions without entity_id"):
        join_outcomes(predictions().drop("entity_id"), outcomes(), as_of=NOW, maturity=DAY)
    with pytest.raises(WrongColumns, match="Cannot join outcomes without outcome"):
        join_outcomes(predictions(), outcomes().drop("outcome"), as_of=NOW, maturity=DAY)
