"""Twelve kinds of corruption, fifty seeded cases each: none reaches a table. Two hundred clean batches: nearly all do.

Files go through the real reader, records through the rules and distances that ``stores/data/intake.py`` joins.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, utc
from esteira.data.row_rules import judge_rows
from esteira.data.slice_rules import judge_quarantined, judge_slice
from esteira.errors import DataError
from esteira.monitoring.profile import read_profile
from esteira.sources.files import Files, FilesSource
from esteira.stores.data import schemas, statistics
from tests.data.orders import ORDERS, START, FrameSource, orders

CASES, CLEAN, DAY = 50, 200, 20
AFTER, UNTIL = START + timedelta(days=DAY), START + timedelta(days=DAY + 1)
HISTORY = pl.concat([orders(0, day=day) for day in range(DAY)])
Spoil = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Callable[[pl.DataFrame], tuple[bool, pl.DataFrame]]:
    """Whether a batch fails, and the rows that would go into the table, after twenty days of history."""
    source = FrameSource(HISTORY, tmp_path_factory.mktemp("shop") / "shop.json")
    schema = schemas._propose_table(source, ORDERS, AFTER, None)
    before = read_profile(statistics.profile(HISTORY, schema))

    def judged(batch: pl.DataFrame) -> tuple[bool, pl.DataFrame]:
        rows = judge_rows(batch, ORDERS, schema, after=AFTER, until=UNTIL)
        now = read_profile(statistics.profile(rows.kept, schema))
        findings = (
            *rows.findings,
            judge_quarantined(ORDERS, schema, arrived=batch.height, quarantined=rows.quarantined.height),
            *judge_slice(
                rows.kept, ORDERS, schema, distances=statistics.distances_between(before, now), measured=now.rows,
                after=AFTER, until=UNTIL,
            ),
        )  # fmt: skip
        return any(each.outcome == "fail" for each in findings), rows.kept

    return judged


def some(rng: np.random.Generator, rows: int) -> pl.Expr:
    """A condition that holds for one to forty rows."""
    chosen = rng.choice(rows, rng.integers(1, 41), replace=False)
    return pl.int_range(pl.len()).is_in(chosen.tolist())


def in_some(column: str, value: Callable[[np.random.Generator], object]) -> Spoil:
    def spoil(batch: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        wrong = pl.lit(value(rng), batch.schema[column])
        return batch.with_columns(pl.when(some(rng, batch.height)).then(wrong).otherwise(column).alias(column))

    return spoil


def doubled(batch: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    again = batch if rng.random() < 0.5 else batch.sample(int(rng.integers(1, 40)), seed=int(rng.integers(1_000)))
    return pl.concat([batch, again])


def other_unit(batch: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    return batch.with_columns(pl.col("amount") * float(rng.choice([0.01, 0.2, 5.0, 100.0])))


def more_nulls(batch: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    emptied = pl.Series(rng.random(batch.height) < rng.uniform(0.2, 0.9))
    return batch.with_columns(pl.when(~emptied).then(pl.col("note")).alias("note"))


def swapped(batch: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    amount, items = pl.col("items").cast(pl.Float64), pl.col("amount").round().cast(pl.Int64)
    return batch.with_columns(amount.alias("amount"), items.alias("items"))


RECORDS: dict[str, Spoil] = {
    "a slice that comes twice": doubled,
    "not a number, or infinite": in_some("amount", lambda rng: float(rng.choice([np.nan, np.inf, -np.inf]))),
    "a date in 1900 or 2100": in_some(EVENT, lambda rng: utc(str(rng.choice(["1900-01-01", "2100-01-01"])))),
    "a category never seen": in_some("shop", lambda rng: f"shop {rng.integers(1_000_000)}"),
    "another unit": other_unit,
    "a fifth of nulls or more": more_nulls,
    "two columns swapped": swapped,
}


@pytest.mark.parametrize("kind", RECORDS)
def test_corrupted_records_never_reach_the_table(
    kind: str, judge: Callable[[pl.DataFrame], tuple[bool, pl.DataFrame]]
) -> None:
    for case in range(CASES):
        clean = orders(case, day=DAY)
        batch = RECORDS[kind](clean, np.random.default_rng([case, 1]))
        failed, kept = judge(batch)
        sound = clean.select(pl.concat_str(pl.all(), ignore_nulls=True)).to_series().implode()
        strange = kept.filter(~pl.concat_str(pl.all(), ignore_nulls=True).is_in(sound))
        assert failed or (strange.is_empty() and kept.is_duplicated().sum() == 0), (kind, case)


def test_of_two_hundred_clean_batches_at_most_one_in_a_hundred_is_blocked(
    judge: Callable[[pl.DataFrame], tuple[bool, pl.DataFrame]],
) -> None:
    blocked = 0
    for case in range(CLEAN):
        batch = orders(case + 1_000, day=DAY)
        failed, kept = judge(batch)
        blocked += failed or kept.height < batch.height
    assert blocked <= CLEAN // 100


def delivered(folder: Path, batch: pl.DataFrame, name: str) -> Path:
    path, frame = folder / name, batch.with_columns(pl.col(EVENT).alias("at"), pl.col(CREATED).alias("known"))
    columns = frame.drop(EVENT, CREATED)
    if name.endswith(".csv"):
        columns.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%:z")
    else:
        columns.write_parquet(path)
    return path


def cut_off(path: Path, rng: np.random.Generator) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: rng.integers(0, len(whole))])


def widened(path: Path, rng: np.random.Generator) -> None:
    kind = [pl.Float64, pl.String, pl.Decimal(18, 2)][rng.integers(3)]
    pl.read_parquet(path).cast({"items": kind}).write_parquet(path)


def in_a_line(spoil: Callable[[bytes], bytes]) -> Callable[[Path, np.random.Generator], None]:
    def spoilt(path: Path, rng: np.random.Generator) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        place = int(rng.integers(1, len(lines)))
        lines[place] = spoil(lines[place])
        path.write_bytes(b"".join(lines))

    return spoilt


def renamed(path: Path, rng: np.random.Generator) -> None:
    names = pl.read_csv(path, n_rows=0).columns
    name = names[rng.integers(len(names))].encode()
    head, body = path.read_bytes().split(b"\n", 1)
    path.write_bytes(head.replace(name, name.upper(), 1) + b"\n" + body)


FILES: dict[str, tuple[str, Callable[[Path, np.random.Generator], None]]] = {
    "a Parquet file cut off": ("orders.parquet", cut_off),
    "a type widened": ("orders.parquet", widened),
    "a column shifted": ("orders.csv", in_a_line(lambda line: b"," + line)),
    "mixed encodings": ("orders.csv", in_a_line(lambda line: "café ".encode("latin-1") + line)),
    "a column renamed": ("orders.csv", renamed),
}


@pytest.mark.parametrize("kind", FILES)
def test_corrupted_files_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    name, spoil = FILES[kind]
    declared = Files(table=ORDERS, pattern=name, event="at", created="known")
    for case in range(CASES):
        path = delivered(tmp_path, orders(case, day=DAY, rows=60), name)
        source = FilesSource(name="shop", folder=str(tmp_path), files=(declared,), schema_file=tmp_path / "none.json")
        assert source.read("orders", AFTER, UNTIL).height == 60
        spoil(path, np.random.default_rng([case, 2]))
        with pytest.raises(DataError, match=name):
            FilesSource(name="shop", folder=str(tmp_path), files=(declared,), schema_file=tmp_path / "none.json").read(
                "orders", AFTER, UNTIL
            )


def test_the_twelve_kinds_are_twelve() -> None:
    assert len(RECORDS) + len(FILES) == 12


def test_a_million_categories_are_refused_not_drowned_in(
    judge: Callable[[pl.DataFrame], tuple[bool, pl.DataFrame]],
) -> None:
    batch = (
        pl.concat([orders(1, day=DAY)] * 2_500)
        .with_row_index()
        .with_columns(
            pl.format("{}-{}", "order_id", "index").alias("order_id"), pl.format("shop {}", "index").alias("shop")
        )
    )
    failed, kept = judge(batch.drop("index"))
    assert failed
    assert kept.is_empty()
