from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.contract import CREATED, EVENT, POSITION, RawTable, utc
from esteira.data.row_rules import REASON, Judged, judge_rows
from esteira.data.schema import POLICY, ColumnSchema, TableSchema
from esteira.errors import WrongColumns

TABLE = RawTable(
    name="departures", columns={"flight_id": pl.String(), "carrier": pl.String(), "delay": pl.Float64()},
    keys=("flight_id",),
)  # fmt: skip
AFTER, UNTIL = utc("2013-03-01"), utc("2013-03-02")
NOON = utc("2013-03-01T12:00:00Z")
MINUTE = timedelta(minutes=1)
MOMENT_TYPE = str(TABLE.schema[EVENT])
SCHEMA = TableSchema(
    columns={
        "flight_id": ColumnSchema(type="String", kind="identifier", required=True),
        "carrier": ColumnSchema(type="String", kind="category", required=True, categories=("AA", "UA")),
        "delay": ColumnSchema(type="Float64", kind="number", required=False, null_share=0.5, low=-60, high=1500),
        EVENT: ColumnSchema(type=MOMENT_TYPE, kind="moment", required=True, low=-86400, high=600),
        CREATED: ColumnSchema(type=MOMENT_TYPE, kind="moment", required=True),
    },
    unique=("flight_id",),
)


def rows(*records: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(records, schema=TABLE.schema, orient="row")


def judge(*records: tuple[object, ...], schema: TableSchema = SCHEMA) -> Judged:
    return judge_rows(rows(*records), TABLE, schema, after=AFTER, until=UNTIL)


def broken_by(judged: Judged) -> dict[str, str]:
    return {each.rule: each.outcome for each in judged.findings if each.outcome != "pass"}


def test_sound_records_are_kept_and_break_no_rule() -> None:
    judged = judge(("a", "AA", 3.0, NOON, NOON), ("b", "UA", None, NOON, NOON))
    assert broken_by(judged) == {}
    assert (judged.kept.height, judged.quarantined.height) == (2, 0)
    assert {each.rule for each in judged.findings} == {
        "slice", "time order", "required", "finite", "range", "category", "unique",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ((None, "AA", 3.0, NOON, NOON), "required"),
        (("a", None, 3.0, NOON, NOON), "required"),
        (("a", "AA", 3.0, None, NOON), "required"),
        (("a", "AA", float("inf"), NOON, NOON), "finite"),
        (("a", "AA", float("nan"), NOON, NOON), "finite"),
        (("a", "AA", 1501.0, NOON, NOON), "range"),
        (("a", "AA", -61.0, NOON, NOON), "range"),
        (("a", "ZZ", 3.0, NOON, NOON), "category"),
        (("a", "AA", 3.0, utc("1900-01-01"), NOON), "range"),
        (("a", "AA", 3.0, NOON + 6 * MINUTE, NOON), "time order"),
    ],
)
def test_an_offending_record_is_kept_apart_with_the_rule_it_breaks(record: tuple[object, ...], rule: str) -> None:
    judged = judge(record, ("b", "UA", 1.0, NOON, NOON))
    assert broken_by(judged) == {rule: "quarantine"}
    assert judged.kept["flight_id"].to_list() == ["b"]
    assert rule in judged.quarantined[REASON].item()


def test_an_event_in_the_year_2100_is_in_the_future_and_out_of_range() -> None:
    judged = judge(("a", "AA", 3.0, utc("2100-01-01"), NOON))
    assert set(broken_by(judged)) == {"time order", "range"}
    assert judged.quarantined[REASON].item().count(";") == 1


def test_clocks_may_differ_by_five_minutes() -> None:
    assert broken_by(judge(("a", "AA", 3.0, NOON + 5 * MINUTE, NOON))) == {}


@pytest.mark.parametrize("created", [AFTER, UNTIL + timedelta(microseconds=1), None])
def test_a_record_outside_its_slice_fails_whatever_the_policy(created: object) -> None:
    mild = SCHEMA.model_copy(update={"policy": dict.fromkeys(POLICY, "warn")})
    assert broken_by(judge(("a", "AA", 3.0, AFTER, created), schema=mild))["slice"] == "fail"


def test_of_copies_one_is_kept_and_records_that_contradict_each_other_are_all_kept_apart() -> None:
    twice = judge(("a", "AA", 3.0, NOON, NOON), ("a", "AA", 3.0, NOON, NOON), ("a", "AA", 3.0, NOON, NOON))
    assert (twice.kept.height, twice.quarantined.height) == (1, 2)
    differing = judge(("a", "AA", 3.0, NOON, NOON), ("a", "AA", 4.0, NOON, NOON), ("b", "AA", 4.0, NOON, NOON))
    assert differing.kept["flight_id"].to_list() == ["b"]


def test_a_correction_of_a_record_is_not_a_repetition() -> None:
    assert broken_by(judge(("a", "AA", 3.0, NOON, NOON), ("a", "AA", 5.0, NOON, NOON + 60 * MINUTE))) == {}


def test_the_policy_decides_what_comes_of_a_broken_rule() -> None:
    for action, kept in (("warn", 1), ("quarantine", 0), ("fail", 1)):
        schema = SCHEMA.model_copy(update={"policy": {**POLICY, "range": action}})
        judged = judge(("a", "AA", 9999.0, NOON, NOON), schema=schema)
        assert broken_by(judged) == {"range": action}
        assert judged.kept.height == kept


def test_a_new_category_of_an_open_column_is_told_and_taken() -> None:
    opened = SCHEMA.columns["carrier"].model_copy(update={"is_open": True})
    schema = SCHEMA.model_copy(update={"columns": {**SCHEMA.columns, "carrier": opened}})
    judged = judge(("a", "ZZ", 1.0, NOON, NOON), schema=schema)
    assert broken_by(judged) == {"category": "warn"}
    assert judged.kept.height == 1


def test_an_empty_slice_breaks_no_rule() -> None:
    assert broken_by(judge()) == {}


def test_a_finding_names_column_rule_expected_found_and_the_place_of_the_first() -> None:
    placed = rows(("a", "AA", 3.0, NOON, NOON), ("b", "ZZ", 3.0, NOON, NOON)).with_columns(
        pl.Series(POSITION, ["march.csv:2", "march.csv:3"])
    )
    judged = judge_rows(placed, TABLE, SCHEMA, after=AFTER, until=UNTIL)
    (found,) = [each for each in judged.findings if each.outcome != "pass"]
    assert str(found) == (
        "quarantine: departures.carrier: category: expected one of AA, UA, found ZZ, first at march.csv:3 (1 rows)"
    )
    assert judged.quarantined[POSITION].item() == "march.csv:3"


def test_other_columns_or_types_are_refused_and_the_difference_is_shown() -> None:
    def judged(frame: pl.DataFrame) -> None:
        judge_rows(frame, TABLE, SCHEMA, after=AFTER, until=UNTIL)

    with pytest.raises(WrongColumns, match=r'(?s)delay: gone, was "Float64".*dep_delay: new, "Float64"'):
        judged(rows().rename({"delay": "dep_delay"}))
    with pytest.raises(WrongColumns, match='delay: "Float64" becomes "Int64"'):
        judged(rows().cast({"delay": pl.Int64}))
    with pytest.raises(WrongColumns, match="the order is"):
        judged(rows().select(reversed(list(TABLE.schema))))


def test_the_first_slice_has_no_lower_bound() -> None:
    ancient = utc("1999-01-01")
    judged = judge_rows(rows(("a", "AA", 1.0, ancient, ancient)), TABLE, SCHEMA, after=None, until=UNTIL)
    assert broken_by(judged) == {}


record = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["AA", "UA", "ZZ", None]),
    st.none() | st.sampled_from([0.0, 3.0, 1e9, float("nan"), float("inf")]),
    st.sampled_from([NOON, NOON + 9 * MINUTE, utc("1900-01-01"), utc("2100-01-01"), None]),
    st.sampled_from([NOON, NOON + MINUTE]),
)


@given(
    st.lists(record, max_size=12),
    st.dictionaries(st.sampled_from(sorted(POLICY)), st.sampled_from(["warn", "quarantine"])),
)
def test_rows_in_are_rows_kept_and_rows_quarantined(records: list[tuple[object, ...]], policy: dict[str, str]) -> None:
    schema = SCHEMA.model_copy(update={"policy": {**POLICY, **policy}})
    judged = judge(*records, schema=schema)
    again = pl.concat([judged.kept, judged.quarantined.drop(REASON, POSITION)])
    assert sorted(map(repr, again.rows())) == sorted(map(repr, rows(*records).rows()))  # as text: NaN equals NaN
    assert judge_rows(judged.kept, TABLE, schema, after=AFTER, until=UNTIL).quarantined.is_empty()
    assert all(judged.quarantined[REASON].str.len_chars() > 0)
