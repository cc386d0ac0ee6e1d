from datetime import timedelta

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, RawTable, utc
from esteira.data.check import find_faults, require_sound, require_within
from esteira.errors import DataError, MomentOutsideData, WrongColumns

TABLE = RawTable(name="departures", columns={"flight_id": pl.String(), "delay": pl.Float64()}, keys=("flight_id",))
AFTER, UNTIL = utc("2013-03-01"), utc("2013-03-02")
NOON = utc("2013-03-01T12:00:00Z")


def rows(*records: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(records, schema=TABLE.schema, orient="row")


def rules_broken_by(*records: tuple[object, ...]) -> set[str]:
    return {fault.rule for fault in find_faults(rows(*records), TABLE, after=AFTER, until=UNTIL)}


def test_sound_records_break_no_rule() -> None:
    assert rules_broken_by(("a", 3.0, NOON, NOON), ("b", None, NOON, NOON)) == set()


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ((None, 3.0, NOON, NOON), "a key is never null"),
        (("a", 3.0, None, NOON), "a key is never null"),
        (("a", float("inf"), NOON, NOON), "a number is finite"),
        (("a", float("nan"), NOON, NOON), "a number is finite"),
        (("a", 3.0, NOON, UNTIL + timedelta(microseconds=1)), "a record lies in its slice"),
        (("a", 3.0, AFTER, AFTER), "a record lies in its slice"),
        (("a", 3.0, NOON + timedelta(hours=1), NOON), "nothing is known before it is true"),
    ],
)
def test_each_broken_rule_is_named(record: tuple[object, ...], rule: str) -> None:
    assert rule in rules_broken_by(record)


def test_a_record_that_comes_twice_is_named() -> None:
    assert rules_broken_by(("a", 3.0, NOON, NOON), ("a", 3.0, NOON, NOON)) == {"a record comes once"}


def test_a_correction_of_a_record_is_not_a_repetition() -> None:
    later = NOON + timedelta(hours=1)
    assert rules_broken_by(("a", 3.0, NOON, NOON), ("a", 5.0, NOON, later)) == set()


def test_an_empty_slice_is_sound() -> None:
    assert require_sound(rows(), TABLE, after=AFTER, until=UNTIL).is_empty()


def test_other_columns_or_types_are_refused_with_both_sides_named() -> None:
    with pytest.raises(WrongColumns, match="delay"):
        find_faults(rows().rename({"delay": "dep_delay"}), TABLE, after=AFTER, until=UNTIL)
    with pytest.raises(WrongColumns, match="Int64"):
        find_faults(rows().cast({"delay": pl.Int64}), TABLE, after=AFTER, until=UNTIL)


def test_the_refusal_lists_every_broken_rule_with_its_column_and_count() -> None:
    faulty = rows((None, 3.0, NOON, NOON), ("b", float("inf"), NOON, NOON))
    with pytest.raises(DataError, match=r"(?s)flight_id: a key is never null.*\(1 rows\).*delay: a number is finite"):
        require_sound(faulty, TABLE, after=AFTER, until=UNTIL)


def test_a_moment_the_source_does_not_reach_is_refused_with_its_span() -> None:
    span = (utc("2013-01-01"), utc("2014-01-01"))
    assert require_within(utc("2014-01-01"), span, "flights") == utc("2014-01-01")
    with pytest.raises(MomentOutsideData, match=r"2014-06-01.*flights.*2013-01-01.*2014-01-01"):
        require_within(utc("2014-06-01"), span, "flights")


def test_the_first_slice_has_no_lower_bound() -> None:
    ancient = utc("1999-01-01")
    assert find_faults(rows(("a", 1.0, ancient, ancient)), TABLE, after=None, until=UNTIL) == []
    assert EVENT in TABLE.schema
    assert CREATED in TABLE.schema
