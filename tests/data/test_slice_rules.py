from datetime import timedelta

import polars as pl
import pytest

from esteira.contract import CREATED, utc
from esteira.data.finding import Finding
from esteira.data.propose import propose
from esteira.data.schema import TableSchema
from esteira.data.slice_rules import judge_quarantined, judge_slice, require_none_failed
from esteira.errors import DataError
from tests.data.orders import ORDERS, START, orders

HISTORY = pl.concat([orders(0, day=day) for day in range(10)])
SCHEMA = propose(HISTORY, ORDERS, shifts={"amount": 0.2})
DAY = orders(0, day=10)
UNTIL = START + timedelta(days=11)


def outcomes(kept: pl.DataFrame, schema: TableSchema = SCHEMA, distance: float = 0.0) -> dict[tuple[str, str], str]:
    found = judge_slice(
        kept, ORDERS, schema, distances={"amount": distance}, measured=kept.height, after=UNTIL - timedelta(days=1),
        until=UNTIL,
    )  # fmt: skip
    return {(each.column, each.rule): each.outcome for each in found}


def test_a_day_like_the_others_passes_every_rule() -> None:
    found = outcomes(DAY)
    assert set(found.values()) == {"pass"}
    assert {rule for _, rule in found} == {"null share", "outliers", "balance", "shift", "silence"}


def test_a_fifth_of_nulls_more_than_usual_fails() -> None:
    holes = DAY.with_columns(pl.when(pl.int_range(pl.len()) % 3 != 0).then("note").alias("note"))
    assert outcomes(holes)["note", "null share"] == "fail"


def test_the_few_rows_of_a_quiet_hour_raise_no_alarm() -> None:
    few = DAY.filter(pl.col("note").is_null()).head(1)
    assert outcomes(few)["note", "null share"] == "pass"
    assert outcomes(few.head(0))["note", "null share"] == "pass"


def test_outliers_and_a_category_that_takes_over_are_told() -> None:
    wild = DAY.with_columns(pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.col("amount") * 20).otherwise("amount"))
    assert outcomes(wild)["amount", "outliers"] == "warn"
    assert outcomes(DAY.with_columns(shop=pl.lit("north")))["shop", "balance"] == "warn"


def test_values_that_moved_fail_and_fewer_rows_need_to_move_further() -> None:
    assert outcomes(DAY, distance=0.35)["amount", "shift"] == "fail"
    assert outcomes(DAY.head(120), distance=0.35)["amount", "shift"] == "pass"
    assert ("amount", "shift") not in outcomes(DAY.head(20), distance=1.0)


def test_a_source_that_fell_silent_is_told() -> None:
    schema = SCHEMA.model_copy(update={"silence_hours": 3.0})
    assert outcomes(DAY, schema)[CREATED, "silence"] == "pass"
    assert outcomes(DAY.filter(pl.col(CREATED) < UNTIL - timedelta(hours=4)), schema)[CREATED, "silence"] == "warn"
    assert outcomes(DAY.clear(), schema)[CREATED, "silence"] == "warn"


@pytest.mark.parametrize(
    ("arrived", "quarantined", "outcome"), [(100, 15, "pass"), (100, 30, "fail"), (4, 2, "pass"), (0, 0, "pass")]
)
def test_too_many_offending_rows_stop_the_belt(arrived: int, quarantined: int, outcome: str) -> None:
    assert judge_quarantined(ORDERS, SCHEMA, arrived=arrived, quarantined=quarantined).outcome == outcome


def test_the_refusal_lists_every_rule_that_failed_and_what_to_do() -> None:
    def found(rule: str, outcome: str) -> Finding:
        return Finding.model_validate(
            {
                "table": "orders",
                "column": "note",
                "rule": rule,
                "outcome": outcome,
                "expected": "e",
                "found": "f",
                "rows": 3,
            }
        )

    require_none_failed("orders", utc("2024-03-02"), (found("range", "warn"),))
    with pytest.raises(
        DataError, match=r"(?s)orders.note: shift: expected e, found f \(3 rows\).*schema propose"
    ) as error:
        require_none_failed("orders", utc("2024-03-02"), (found("range", "warn"), found("shift", "fail")))
    assert "range" not in str(error.value)
