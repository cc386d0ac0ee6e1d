from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from esteira.contract import CREATED, EVENT, MOMENT, utc
from esteira.monitoring.reported import settle

NOON = utc("2013-03-01T12:00:00Z")
REPORTS = {
    "prediction_id": pl.String(), "entity_id": pl.String(), "outcome": pl.Float64(), "source": pl.String(),
    "confidence": pl.Float64(), EVENT: MOMENT, CREATED: MOMENT,
}  # fmt: skip
PREDICTIONS = pl.DataFrame(
    {"prediction_id": ["p1", "p2", "p1"], "entity_id": ["f1", "f2", "f1"], "as_of": [NOON, NOON, NOON]},
    schema={"prediction_id": pl.String, "entity_id": pl.String, "as_of": MOMENT},
)


def report(outcome: float, *, happened: float = 1, known: float = 2, **about: Any) -> dict[str, Any]:
    moments = {EVENT: NOON + timedelta(hours=happened), CREATED: NOON + timedelta(hours=known)}
    return {"outcome": outcome, "source": "desk", "confidence": 1.0, **moments, **about}


def settled(*reports: dict[str, Any]) -> list[tuple[str | None, float, str]]:
    found = settle(pl.DataFrame(list(reports), schema=REPORTS), PREDICTIONS)
    return found.select("entity_id", "outcome", "status").rows()


def test_a_report_about_a_prediction_is_about_its_entity() -> None:
    assert settled(report(1.0, prediction_id="p2")) == [("f2", 1.0, "counted")]


def test_what_became_known_later_corrects_and_can_be_corrected_back() -> None:
    first, second = report(1.0, prediction_id="p1", known=2), report(0.0, entity_id="f1", known=3)
    back = report(1.0, prediction_id="p1", known=4)
    assert settled(second, first) == [("f1", 1.0, "superseded"), ("f1", 0.0, "counted")]
    assert settled(back, second, first)[-1] == ("f1", 1.0, "counted")


def test_of_two_known_at_once_the_surer_counts() -> None:
    found = settled(report(1.0, entity_id="f1", confidence=0.9), report(0.0, entity_id="f1", confidence=0.4))
    assert found == [("f1", 0.0, "superseded"), ("f1", 1.0, "counted")]


def test_a_report_of_an_unknown_prediction_is_kept_and_told() -> None:
    assert settled(report(1.0, prediction_id="nobody")) == [(None, 1.0, "unknown")]


def test_an_outcome_before_its_prediction_is_not_of_that_prediction() -> None:
    assert settled(report(1.0, prediction_id="p1", happened=-1)) == [("f1", 1.0, "early")]
    later = report(0.0, prediction_id="p1", happened=1)
    assert settled(report(1.0, prediction_id="p1", happened=-1, known=5), later) == [
        ("f1", 0.0, "counted"),
        ("f1", 1.0, "early"),
    ]


hours = st.integers(-3, 3)
reports = st.builds(
    report,
    st.sampled_from([0.0, 1.0]),
    happened=hours,
    known=hours,
    prediction_id=st.sampled_from(["p1", "p2", "nobody"]),
) | st.builds(report, st.sampled_from([0.0, 1.0]), happened=hours, known=hours, entity_id=st.sampled_from(["f1", "f3"]))


@given(st.lists(reports, max_size=20), st.randoms())
def test_neither_order_nor_repetition_changes_what_counts_and_no_report_is_lost(given: Any, random: Any) -> None:
    again = given + random.sample(given, len(given) // 2)
    random.shuffle(again)
    found = settled(*given)
    assert sorted(settled(*again), key=str) == sorted(found, key=str)
    distinct = {str(sorted(each.items())) for each in given}
    assert len(found) == len(distinct)
    counted = [entity for entity, _, status in found if status == "counted"]
    assert len(counted) == len(set(counted))
