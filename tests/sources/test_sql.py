"""SQL tables as a source, on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from esteira.contract import CREATED, EVENT, MOMENT, RawTable, utc
from esteira.errors import DataError, InputError, MissingData, UnknownName, WrongColumns
from esteira.sources.sql import Query, SqlSource
from esteira.stores.data import intake, schemas, tables
from tests.stores import postgres

ORDERS = RawTable(
    name="orders",
    columns={"order_id": pl.String(), "amount": pl.Float64(), "items": pl.Int64(), "paid": pl.Boolean(), "due": MOMENT},
    keys=("order_id",),
)
ALWAYS = (utc("2000-01-01"), utc("2030-01-01"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shop.db'}"
    else:
        with postgres.database() as made:
            yield made


def fill(url: str, *rows: dict[str, object], zoned: bool = False) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    metadata = sa.MetaData()
    orders = sa.Table(
        "orders", metadata, sa.Column("order_id", sa.String), sa.Column("amount", sa.Numeric(10, 2)),
        sa.Column("items", sa.Integer), sa.Column("paid", sa.Boolean), sa.Column("due", sa.DateTime),
        sa.Column("ordered_at", sa.DateTime), sa.Column("entered_at", sa.DateTime(timezone=zoned)),
    )  # fmt: skip
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(orders), list(rows))


def row(name: str, day: int, **changed: object) -> dict[str, object]:
    moment = datetime(2024, 3, day, 9, 30, 0, 250_000)  # noqa: DTZ001  as such databases keep it
    kept = {"order_id": name, "amount": 1.5, "items": 2, "paid": True, "due": None, "ordered_at": moment}
    return {**kept, "entered_at": moment, **changed}


def source(url: str, folder: Path, query: str = "select * from orders") -> SqlSource:
    asked = Query(table=ORDERS, query=query, event="ordered_at", created="entered_at")
    return SqlSource(name="shop", url=url, queries=(asked,), schema_file=folder / "shop.json")


def test_records_come_in_their_types_with_their_moments_in_utc(url: str, tmp_path: Path) -> None:
    fill(url, row("a", 1), row("b", 2, amount=None, paid=False))
    rows = source(url, tmp_path).read("orders", *ALWAYS)
    assert dict(rows.schema) == ORDERS.schema
    assert rows.rows() == [
        ("a", 1.5, 2, True, None, *[utc("2024-03-01T09:30:00.250000Z")] * 2),
        ("b", None, 2, False, None, *[utc("2024-03-02T09:30:00.250000Z")] * 2),
    ]


def test_slices_meet_without_gap_or_overlap(url: str, tmp_path: Path) -> None:
    fill(url, *(row(str(day), day) for day in range(1, 9)))
    shop = source(url, tmp_path)
    known = utc("2024-03-04T09:30:00.250000Z")
    assert shop.read("orders", ALWAYS[0], known)["order_id"].to_list() == ["1", "2", "3", "4"]
    assert shop.read("orders", known, ALWAYS[1])["order_id"].to_list() == ["5", "6", "7", "8"]
    assert (shop.count("orders", known), shop.count("orders", ALWAYS[1])) == (4, 8)
    assert shop.span() == (utc("2024-03-01T09:30:00.250000Z"), None)


@pytest.mark.services
def test_watermarks_with_a_time_zone_are_compared_as_moments(tmp_path: Path) -> None:
    with postgres.database() as url:
        fill(url, row("a", 1, entered_at=datetime(2024, 3, 1, 23, tzinfo=UTC)), zoned=True)
        shop = source(f"{url}?options=-ctimezone%3DAsia/Kathmandu", tmp_path)
        assert shop.read("orders", utc("2024-03-01T22:59:59Z"), utc("2024-03-01T23:00:00Z"))[CREATED].to_list() == [
            utc("2024-03-01T23:00:00Z")
        ]
        assert shop.count("orders", utc("2024-03-01T22:59:59Z")) == 0


def test_a_belt_goes_on_from_its_watermark_and_notices_rows_committed_late(
    url: str, home: Path, tmp_path: Path
) -> None:
    fill(url, *(row(str(day), day) for day in range(1, 9)))
    shop = source(url, tmp_path)
    schemas.propose(shop, utc("2024-03-09"))
    schemas.accept(shop, actor="ana", reason="read")
    assert [each.kept for each in intake.take_in(shop, ORDERS, utc("2024-03-09"))] == [8]
    fill(url, row("new", 10))
    assert [each.kept for each in intake.take_in(shop, ORDERS, utc("2024-03-11"))] == [1]
    assert sorted(tables.read("orders")["order_id"]) == sorted([*"12345678", "new"])
    fill(url, row("late", 5))
    with pytest.raises(DataError, match="1 records of table 'orders' came late"):
        intake.take_in(shop, ORDERS, utc("2024-03-12"))


def test_a_value_of_another_type_is_refused_with_its_column(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    fill(url, row("a", 1))
    shop = source(
        url, tmp_path, query="select order_id, amount, 'two' items, paid, due, ordered_at, entered_at from orders"
    )
    with pytest.raises(
        WrongColumns, match=r"Column 'items' of table 'orders' in source 'shop' holds other values than Int64"
    ):
        shop.read("orders", *ALWAYS)


def test_rows_without_a_watermark_are_refused(url: str, tmp_path: Path) -> None:
    fill(url, row("a", 1), row("b", 2, entered_at=None))
    with pytest.raises(DataError, match=r"1 records of table 'orders' in source 'shop' have no usable 'entered_at'"):
        source(url, tmp_path).read("orders", *ALWAYS)


def test_moments_that_do_not_sort_as_text_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    fill(url, row("a", 1))
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("update orders set entered_at = '2024-03-01T09:30:00'"))
    with pytest.raises(DataError, match="no usable 'entered_at'"):
        source(url, tmp_path).count("orders", ALWAYS[1])


@pytest.mark.parametrize("query", ["select * from order_lines", "select order_id, ordered_at, entered_at from orders"])
def test_a_query_that_cannot_be_answered_is_named_with_what_it_must_give(url: str, tmp_path: Path, query: str) -> None:
    fill(url, row("a", 1))
    with pytest.raises(DataError, match=r"(?s)cannot answer the query of table 'orders'.*amount"):
        source(url, tmp_path, query=query).read("orders", *ALWAYS)


def test_no_record_no_such_table_and_no_url_are_named(url: str, tmp_path: Path) -> None:
    fill(url, row("a", 1))
    with pytest.raises(MissingData, match="give no record"):
        source(url, tmp_path, query="select * from orders where 1 = 0").span()
    with pytest.raises(UnknownName, match=r"Unknown table 'order'. Known: orders"):
        source(url, tmp_path).read("order", *ALWAYS)
    with pytest.raises(InputError, match="not one that SQLAlchemy opens"):
        source("no url", tmp_path).span()


def test_a_database_that_cannot_be_reached_is_an_error_a_step_tries_again(tmp_path: Path) -> None:
    with pytest.raises(sa.exc.OperationalError):
        source(f"sqlite:///{tmp_path / 'no' / 'folder.db'}", tmp_path).read("orders", *ALWAYS)


def test_events_may_be_declared_columns_too(url: str, tmp_path: Path) -> None:
    fill(url, row("a", 1, due=datetime(2024, 3, 8)))  # noqa: DTZ001
    asked = Query(table=ORDERS, query="select * from orders", event="due", created="entered_at")
    rows = SqlSource(name="shop", url=url, queries=(asked,), schema_file=tmp_path / "shop.json").read("orders", *ALWAYS)
    assert rows[EVENT].to_list() == rows["due"].to_list() == [utc("2024-03-08")]
