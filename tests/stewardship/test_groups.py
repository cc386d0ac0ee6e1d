import polars as pl
import pytest

from esteira.contract import GroupLimits
from esteira.errors import NotEnoughData
from esteira.stewardship.groups import Group, judge_groups, require_no_failed, told

LIMITS = GroupLimits(minimum_rows=50)


def group(value: str | None, rows: int, *, late: float = 0.2, missing: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "carrier": [value] * rows,
            "outcome": [1.0 if place < late * rows else 0.0 for place in range(rows)],
            "a": [None if place < missing * rows else 1.0 for place in range(rows)],
            "b": [None if place < missing * rows else "x" for place in range(rows)],
        },
        schema_overrides={"carrier": pl.String, "a": pl.Float64, "b": pl.String},
    )


def judged(*groups: pl.DataFrame, live: list[str] | None = None) -> dict[str, Group]:
    found = judge_groups(
        pl.concat(groups), None if live is None else pl.DataFrame({"carrier": live}), columns=["carrier"],
        label="outcome", features=["a", "b"], limits=LIMITS,
    )  # fmt: skip
    return {each.value: each for each in found}


def test_groups_are_counted_with_their_labels_and_their_missing_values() -> None:
    found = judged(group("UA", 300, late=0.2), group("B6", 100, late=0.4, missing=0.1))
    assert list(found) == ["UA", "B6"]
    assert (found["B6"].rows, found["B6"].share, found["B6"].label_mean, found["B6"].missing_share) == (
        100, 0.25, 0.4, pytest.approx(0.1),
    )  # fmt: skip
    assert [each.status for each in found.values()] == ["pass", "pass"]
    assert told(tuple(found.values())) == ("2 of 2 groups pass.",)


@pytest.mark.parametrize(
    ("odd", "status", "sentence"),
    [
        (group("OO", 49), "warn", "carrier=OO has 49 rows; 50 are needed"),
        (group("OO", 60, late=0.9), "warn", "carrier=OO has the mean label 0.900"),
        (group("OO", 60, late=0.0), "warn", "carrier=OO has the mean label 0.000"),
        (group("OO", 60, missing=0.4), "warn", "carrier=OO lacks 40% of feature values"),
        (group("OO", 60, missing=0.9), "fail", "carrier=OO lacks 90% of feature values"),
        (group(None, 20), "warn", "carrier=None has 20 rows"),
    ],
)
def test_a_group_that_differs_is_told_of(odd: pl.DataFrame, status: str, sentence: str) -> None:
    found = judged(group("UA", 1000), odd)
    assert found["UA"].status == "pass"
    (other,) = (each for value, each in found.items() if value != "UA")
    assert other.status == status
    assert other.sentences[0].startswith(sentence)


def test_nothing_is_trained_when_a_group_fails() -> None:
    found = tuple(judged(group("UA", 1000), group("OO", 60, missing=0.9)).values())
    with pytest.raises(NotEnoughData, match="carrier=OO lacks 90%"):
        require_no_failed(found, "2013-03-01")
    require_no_failed(found[:1], "2013-03-01")


def test_who_asks_more_often_than_he_was_learned_from_is_listed() -> None:
    live = ["UA"] * 60 + ["B6"] * 30 + ["DL"] * 10
    found = judged(group("UA", 900), group("B6", 100), live=live)
    assert found["UA"].status == "pass"
    assert found["B6"].sentences == ("carrier=B6 is 10.0% of the training set and 30.0% of recent predictions.",)
    assert found["DL"].rows == 0
    assert found["DL"].sentences[1] == "carrier=DL is 0.0% of the training set and 10.0% of recent predictions."
    assert found["UA"].live_share == 0.6
    assert judged(group("UA", 900))["UA"].live_share is None
