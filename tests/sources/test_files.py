"""Files as a source: what arrives when, and that what cannot be read for certain is refused with file and line."""

import codecs
import gzip
import os
import random
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.contract import CREATED, EVENT, MOMENT, POSITION, RawTable, utc
from esteira.errors import DataError, InputError, MissingData, UnknownName, WrongColumns
from esteira.sources.files import Files, FilesSource

ORDERS = RawTable(
    name="orders",
    columns={"order_id": pl.String(), "amount": pl.Float64(), "items": pl.Int64(), "paid": pl.Boolean(), "due": MOMENT},
    keys=("order_id",),
)
HEADER = "order_id,amount,items,paid,due,ordered_at,entered_at"
FIRST = "a,1.5,2,true,2024-03-05,2024-03-01 10:00,2024-03-01T10:05:00Z"
SECOND = "b,,3,false,,2024-03-02T09:00:00.25+01:00,2024-03-02 09:00:00Z"
WHOLE = f"{HEADER}\n{FIRST}\n{SECOND}\n"
ALWAYS = (utc("2000-01-01"), utc("2030-01-01"))


def source(folder: Path, pattern: str = "*.csv", **changed: object) -> FilesSource:
    declared = {"table": ORDERS, "pattern": pattern, "event": "ordered_at", "created": "entered_at", **changed}
    return FilesSource(
        name="shop",
        folder=str(folder),
        files=(Files(**declared),),
        schema_file=folder / "shop.json",  # type: ignore[arg-type]
    )


def put(folder: Path, content: str | bytes, name: str = "march.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, **changed: object) -> pl.DataFrame:
    return source(folder, **changed).read("orders", *ALWAYS)


def test_records_come_in_their_types_with_their_moments_and_their_line(tmp_path: Path) -> None:
    put(tmp_path, WHOLE)
    rows = read(tmp_path)
    assert dict(rows.schema) == {**ORDERS.schema, POSITION: pl.String()}
    assert rows.drop(EVENT, CREATED).rows() == [
        ("a", 1.5, 2, True, utc("2024-03-05"), "march.csv:2"),
        ("b", None, 3, False, None, "march.csv:3"),
    ]
    assert rows[EVENT].to_list() == [utc("2024-03-01T10:00:00Z"), utc("2024-03-02T08:00:00.250000Z")]
    assert rows[CREATED].to_list() == [utc("2024-03-01T10:05:00Z"), utc("2024-03-02T09:00:00Z")]


def test_plain_gzipped_and_parquet_files_give_the_same_records(tmp_path: Path) -> None:
    put(tmp_path, WHOLE)
    put(tmp_path, gzip.compress(WHOLE.encode()), "march.csv.gz")
    plain = read(tmp_path)
    typed = plain.with_columns(ordered_at=EVENT, entered_at=CREATED).drop(EVENT, CREATED, POSITION)
    typed.cast({"items": pl.Int16}).write_parquet(tmp_path / "march.parquet")
    for pattern in ("*.csv.gz", "*.parquet"):
        assert read(tmp_path, pattern=pattern).drop(POSITION).equals(plain.drop(POSITION)), pattern
    assert read(tmp_path, pattern="*.parquet")[POSITION].to_list() == ["march.parquet row 1", "march.parquet row 2"]


def test_slices_of_a_folder_meet_without_gap_or_overlap(tmp_path: Path) -> None:
    put(tmp_path, f"{HEADER}\n{SECOND}\n", "later.csv")
    put(tmp_path, f"{HEADER}\n{FIRST}\n", "earlier.csv")
    put(tmp_path, "half a fi", ".hidden.csv")
    put(tmp_path, "half a fi", "coming.csv.part")
    shop = source(tmp_path, "*.csv*")
    known = utc("2024-03-01T10:05:00Z")
    assert shop.read("orders", ALWAYS[0], known)["order_id"].to_list() == ["a"]
    assert shop.read("orders", known, ALWAYS[1])["order_id"].to_list() == ["b"]
    assert (shop.count("orders", known), shop.count("orders", ALWAYS[1])) == (1, 2)
    assert shop.span() == (known, None)


def test_without_a_column_a_record_is_known_from_when_its_file_was_modified(tmp_path: Path) -> None:
    path = put(tmp_path, WHOLE)
    modified = utc("2024-03-09T12:00:00Z")
    os.utime(path, (modified.timestamp(), modified.timestamp()))
    rows = read(tmp_path, created=None, ignored=("entered_at",))
    assert rows[CREATED].unique().to_list() == [modified]


def test_moments_without_offset_are_of_the_declared_zone_and_its_doubtful_hours_are_refused(tmp_path: Path) -> None:
    new_york = {"zone": "America/New_York"}
    put(tmp_path, WHOLE)
    assert read(tmp_path, **new_york)[EVENT][0] == utc("2024-03-01T15:00:00Z")
    for doubtful in ("2024-11-03 01:30", "2024-03-10 02:30"):
        put(tmp_path, WHOLE.replace("2024-03-01 10:00", doubtful))
        with pytest.raises(DataError, match=rf"line 2: column 'ordered_at' holds '{doubtful}'.*America/New_York"):
            read(tmp_path, **new_york)


def test_a_mark_at_the_start_is_passed_over_and_other_encodings_are_refused(tmp_path: Path) -> None:
    put(tmp_path, codecs.BOM_UTF8 + WHOLE.encode())
    assert read(tmp_path).height == 2
    put(tmp_path, WHOLE.encode("utf-16"))
    with pytest.raises(DataError, match=r"march.csv, line 1: the file is UTF-16, expected UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE.encode() + "é,1,1,true,,2024-03-01,2024-03-02\n".encode("latin-1"), r"line 4: byte 0xe9 is not UTF-8"),
        (WHOLE + "\ufeff" + WHOLE, "line 4: a byte order mark inside the file"),
        (WHOLE + "c\x00", "line 4: a zero byte"),
        (WHOLE + "c,x,1,1,true,,2024-03-01,2024-03-02\n", "line 4: 8 fields, expected 7 as in the header"),
        (WHOLE + "c,1\n", "line 4: 2 fields, expected 7"),
        (WHOLE + "\n", "line 4: 0 fields, expected 7"),
        (WHOLE + '"c,1,1,true,,2024-03-01,2024-03-02\n', "line 4: unexpected end of data"),
        (WHOLE.replace("1.5", "1,5", 1), "line 2: 8 fields"),
        (WHOLE.replace("1.5", "abc"), r"line 2: column 'amount' holds 'abc', expected Float64"),
        (WHOLE.replace(",2,", ",2.5,"), r"line 2: column 'items' holds '2.5', expected Int64"),
        (WHOLE.replace("true", "yes"), r"line 2: column 'paid' holds 'yes', expected Boolean"),
        (WHOLE.replace("2024-03-05", "05.03.2024"), r"line 2: column 'due' holds '05.03.2024'"),
        (WHOLE.replace("2024-03-05", "2024-02-30"), r"line 2: column 'due' holds '2024-02-30'"),
        (WHOLE.replace("2024-03-02 09:00:00Z", ""), r"march.csv:3: column 'entered_at' is empty"),
        ("", "not even a header"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused_with_file_and_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    put(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path)
    assert "march.csv" in str(error.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("amount", "total"), r"gone \['amount'\]; new \['total'\]"),
        (HEADER.replace("amount", "items"), r"twice \['items'\]; gone \['amount'\]"),
        (HEADER.replace("items", "items,colour"), r"new \['colour'\]"),
    ],
)
def test_a_changed_header_is_refused_with_the_difference(tmp_path: Path, header: str, message: str) -> None:
    put(tmp_path, header + "\n")
    with pytest.raises(WrongColumns, match=message):
        read(tmp_path)


def test_a_wider_type_in_parquet_is_refused_and_a_narrower_one_widened(tmp_path: Path) -> None:
    put(tmp_path, WHOLE)
    typed = read(tmp_path).with_columns(ordered_at=EVENT, entered_at=CREATED).drop(EVENT, CREATED, POSITION)
    for column, kind in (("items", pl.Float64), ("amount", pl.String), ("items", pl.UInt64)):
        typed.cast({column: kind}).write_parquet(tmp_path / "march.parquet")
        with pytest.raises(WrongColumns, match=f"column '{column}' holds {kind.__name__}, expected"):
            read(tmp_path, pattern="*.parquet")
    typed.cast({"items": pl.UInt8, "amount": pl.Float32}).write_parquet(tmp_path / "march.parquet")
    assert read(tmp_path, pattern="*.parquet").height == 2


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000))
def test_a_parquet_or_gzip_file_cut_off_anywhere_is_refused(tmp_path: Path, seed: int) -> None:
    put(tmp_path, WHOLE)
    typed = read(tmp_path).with_columns(ordered_at=EVENT, entered_at=CREATED).drop(EVENT, CREATED, POSITION)
    typed.write_parquet(tmp_path / "whole")
    for name, content in (
        ("cut.parquet", (tmp_path / "whole").read_bytes()),
        ("cut.csv.gz", gzip.compress(WHOLE.encode())),
    ):
        put(tmp_path, content[: random.Random(seed).randrange(len(content))], name)
        with pytest.raises(DataError, match=f"{name}.*(cut off|not Parquet|not even a header)"):
            read(tmp_path, pattern=name)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path, b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1", "bad.parquet")
    with pytest.raises(DataError, match=r"bad.parquet is damaged"):
        read(tmp_path, pattern="*.parquet")


def test_a_file_of_another_kind_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    put(tmp_path, WHOLE, "march.xlsx")
    with pytest.raises(InputError, match=r"march.xlsx is none of .csv, .csv.gz and .parquet"):
        read(tmp_path, pattern="*")
    with pytest.raises(MissingData, match=r"No file of table 'orders' fits '\*.csv'"):
        read(tmp_path)
    with pytest.raises(MissingData, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UnknownName, match=r"Unknown table 'order'. Known: orders"):
        source(tmp_path).read("order", *ALWAYS)


def test_the_operator_says_where_a_source_is_that_does_not_say_so(home: Path, tmp_path: Path) -> None:
    put(tmp_path, WHOLE)
    placed = FilesSource(name="shop", files=source(tmp_path).files, schema_file=tmp_path / "shop.json")
    with pytest.raises(InputError, match="Nothing says where source 'shop' is"):
        placed.span()
    with pytest.MonkeyPatch.context() as patch:
        from esteira.settings import settings as current

        patch.setenv("ESTEIRA_SOURCE_LOCATIONS", f'{{"shop": "{tmp_path}"}}')
        current.cache_clear()
        assert placed.count("orders", ALWAYS[1]) == 2


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    put(tmp_path, f"{HEADER}\n{FIRST}\n")
    shop = source(tmp_path)
    assert shop.count("orders", ALWAYS[1]) == 1
    put(tmp_path, WHOLE)
    assert shop.count("orders", ALWAYS[1]) == 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff\r"), max_size=12), min_size=1, max_size=8
    )
)
def test_any_text_survives_the_file(tmp_path: Path, texts: list[str]) -> None:
    import csv

    with (tmp_path / "march.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(HEADER.split(","))
        for text in texts:
            writer.writerow([text, "1", "1", "true", "", "2024-03-01", "2024-03-01"])
    read_back = sorted(read(tmp_path)["order_id"].to_list(), key=lambda each: each or "")
    assert read_back == sorted([text or None for text in texts], key=lambda each: each or "")
    assert timedelta(0) == read(tmp_path)[EVENT][0] - utc("2024-03-01")


def test_one_file_may_hold_two_tables_and_call_its_columns_otherwise(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("No,at,Amount (EUR),back\n1,2024-01-01,2.5,yes\n")
    of = {"pattern": "orders.csv", "event": "at", "created": "at"}
    source = FilesSource(
        name="shop",
        folder=str(tmp_path),
        schema_file=tmp_path / "schema.json",
        files=(
            Files(
                table=RawTable(name="sold", columns={"order": pl.Int64(), "euros": pl.Float64()}, keys=("order",)),
                called={"order": "No", "euros": "Amount (EUR)"}, ignored=("back",), **of,
            ),
            Files(
                table=RawTable(name="returned", columns={"order": pl.Int64(), "back": pl.String()}, keys=("order",)),
                called={"order": "No"}, ignored=("Amount (EUR)",), **of,
            ),
        ),
    )  # fmt: skip
    start, end = utc("2023-01-01"), utc("2025-01-01")
    assert source.read("sold", start, end).select("order", "euros").rows() == [(1, 2.5)]
    assert source.read("returned", start, end).select("order", "back").rows() == [(1, "yes")]
