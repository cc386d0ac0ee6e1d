import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, RawTable
from esteira.data.propose import propose
from esteira.data.schema import (
    SourceSchema,
    describe_difference,
    from_text,
    kind_of,
    require_declared,
    to_text,
)
from esteira.errors import InputError, WrongColumns
from tests.data.orders import ORDERS, orders

HISTORY = pl.concat([orders(0, day=day) for day in range(5)])
TABLE = propose(HISTORY, ORDERS, shifts={"amount": 0.2})
SCHEMA = SourceSchema(source="shop", tables={"orders": TABLE})


def changed(column: str, **bounds: object) -> SourceSchema:
    columns = {**TABLE.columns, column: TABLE.columns[column].model_copy(update=bounds)}
    return SCHEMA.model_copy(update={"tables": {"orders": TABLE.model_copy(update={"columns": columns})}})


def test_a_schema_survives_its_file() -> None:
    assert from_text(to_text(SCHEMA), "shop.json") == SCHEMA


def test_a_proposal_knows_types_kinds_bounds_and_what_may_be_missing() -> None:
    columns = TABLE.columns
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        "order_id": "identifier", "shop": "category", "amount": "number", "items": "number", "note": "category",
        "due": "moment", EVENT: "moment", CREATED: "moment",
    }  # fmt: skip
    assert columns["shop"].categories == ("north", "south", "west")
    assert columns["items"].low == 0
    assert columns["items"].high == 12
    assert (columns["amount"].required, columns["note"].required) == (True, False)
    assert 0.1 < columns["note"].null_share < 0.3
    assert columns["amount"].shift == 0.2
    assert columns["due"].low is not None
    assert columns["due"].low >= 0
    assert columns[EVENT].low is not None
    assert -2 * 86400 < columns[EVENT].low < -300
    assert TABLE.unique == ("order_id",)
    assert TABLE.silence_hours is not None


def test_a_new_proposal_keeps_what_a_person_set_and_widens_only_what_data_breaks() -> None:
    reviewed = changed("items", low=1.0, high=8.0).tables["orders"]
    again = propose(HISTORY, ORDERS, current=reviewed, shifts={})
    assert again == reviewed
    more = HISTORY.with_columns(
        pl.when(pl.col("order_id").str.ends_with("7")).then(30).otherwise("items").alias("items"),
        pl.when(pl.col("shop") == "west").then(pl.lit("east")).otherwise("shop").alias("shop"),
    )
    widened = propose(more, ORDERS, current=reviewed, shifts={})
    assert widened.columns["items"].low == 1.0
    assert widened.columns["items"].high is not None
    assert widened.columns["items"].high >= 30
    assert widened.columns["shop"].categories == ("east", "north", "south", "west")


def test_a_change_is_told_bound_by_bound() -> None:
    assert describe_difference(SCHEMA, SCHEMA) == []
    assert describe_difference(SCHEMA, changed("shop", categories=("north", "east", "south"))) == [
        'orders.columns.shop.categories: gone ["west"]; new ["east"]'
    ]
    assert describe_difference(SCHEMA, changed("items", high=99.0)) == ["orders.columns.items.high: 12.0 becomes 99.0"]
    fewer = SCHEMA.model_copy(update={"tables": {}})
    assert describe_difference(fewer, SCHEMA)[0].startswith("orders: new, ")


def test_a_declaration_that_differs_from_the_reviewed_schema_is_refused_with_the_difference() -> None:
    wider = RawTable(name="orders", columns={**ORDERS.columns, "items": pl.Float64()}, keys=ORDERS.keys)
    require_declared(TABLE, ORDERS, "shop.json")
    with pytest.raises(WrongColumns, match=r'(?s)shop.json.*items: "Int64" becomes "Float64".*never taken silently'):
        require_declared(TABLE, wider, "shop.json")


def with_policy(rule: str, action: str) -> str:
    spoiled = TABLE.model_copy(update={"policy": {rule: action}})
    return to_text(SCHEMA.model_copy(update={"tables": {"orders": spoiled}}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "shop.json cannot be read"),
        ('{"source": "shop", "tables": {}, "more": 1}', "more"),
        (with_policy("rang", "fail"), r"\['rang'\]. Known rules: required"),
        (with_policy("shift", "quarantine"), "set them to warn or fail"),
    ],
)
def test_a_schema_that_cannot_be_meant_is_refused_with_its_file(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_text(text, "shop.json")


def test_text_that_repeats_is_a_category_and_text_that_does_not_names_something() -> None:
    assert kind_of(pl.Series(["a", "b"] * 20)) == "category"
    assert kind_of(pl.Series([str(each) for each in range(40)])) == "identifier"
    assert kind_of(pl.Series([True])) == "number"
