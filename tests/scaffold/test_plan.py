"""What can become a use case does; what cannot is refused before a file is written, with what to do."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from esteira.errors import DataError, EsteiraError, InputError, MissingData
from esteira.scaffold.plan import plan
from esteira.scaffold.planned import Wanted

HOURS, START = 24 * 60, pl.datetime(2024, 1, 1, time_zone="UTC")


def stations(**more: Any) -> pl.DataFrame:
    """Sixty days of two stations, an hour a row; heat rises and falls with the day."""
    random = np.random.default_rng(1)
    hours = pl.DataFrame({"place": ["north", "south"]}).join(pl.DataFrame({"hour_no": range(HOURS)}), how="cross")
    heat = 10 + 8 * np.sin(hours["hour_no"].to_numpy() / 24 * 2 * np.pi) + random.normal(0, 2, hours.height)
    return hours.select(
        "place",
        (START + pl.duration(hours="hour_no")).dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("read at"),
        pl.Series("heat", heat.round(1)),
        pl.Series("sky", random.choice(["clear", "cloud"], hours.height)),
        **more,
    )


def wanted(tmp_path: Path, frame: pl.DataFrame, **more: Any) -> Wanted:
    path = tmp_path / "stations.csv"
    frame.write_csv(path)
    usual = {"entity_key": "place", "timestamp": "read at", "label": "heat", "kind": "regression"}
    return Wanted(name="heat_ahead", source=path, **{**usual, **more})


def orders() -> pl.DataFrame:
    """Two thousand orders, an hour apart; a third come back, and then say when."""
    back = pl.Series("back", np.random.default_rng(2).random(2_000) < 0.3)
    at = START + pl.duration(hours=pl.int_range(2_000))
    return pl.DataFrame({"order": range(2_000), "amount": np.arange(2_000) % 97 * 1.5}).with_columns(
        at.dt.strftime("%Y-%m-%d %H:%M").alias("at"),
        back.replace_strict({True: "yes", False: "no"}, return_dtype=pl.String),
        pl.when(back).then(at.dt.offset_by("3d").dt.strftime("%Y-%m-%d")).alias("back on"),
    )


ORDERS = {"entity_key": "order", "timestamp": "at", "label": "back", "kind": "binary", "without": ("back on",)}


def test_a_series_is_predicted_ahead_from_its_newest_row_and_means_of_its_numbers(tmp_path: Path) -> None:
    found = plan(wanted(tmp_path, stations(), ahead=timedelta(hours=3)))
    assert [each.name for each in found.features] == [
        "place_last", "heat_last", "heat_mean_6h", "heat_mean_24h", "sky_last",
    ]  # fmt: skip
    assert (found.label_delay, found.asked_after) == (timedelta(hours=6), timedelta(minutes=90))
    assert (found.holdout, found.slices, found.known_keys) == (timedelta(days=7), ("place",), True)
    assert found.records.called["read_at"] == "read at"


def test_without_a_word_about_it_the_next_row_is_predicted(tmp_path: Path) -> None:
    assert plan(wanted(tmp_path, stations())).wanted.ahead == timedelta(minutes=60)


def test_a_row_whose_label_comes_later_is_a_question_of_its_own(tmp_path: Path) -> None:
    found = plan(wanted(tmp_path, orders(), **ORDERS, label_after=timedelta(days=14)))
    assert [(each.name, each.type) for each in found.features] == [("amount_last", "number")]
    assert (found.label_delay, found.asked_after, found.yes) == (timedelta(days=14), timedelta(days=1), "'yes'")


def test_parquet_will_do(tmp_path: Path) -> None:
    stations().write_parquet(tmp_path / "stations.parquet")
    described = wanted(tmp_path, stations())
    same = Wanted(**{**vars(described), "source": tmp_path / "stations.parquet"})
    assert plan(same).features == plan(described).features


REFUSED: list[tuple[str, dict[str, Any], type[EsteiraError], str]] = [
    ("no such label", {"label": "warmth"}, InputError, r"no column 'warmth', so it cannot be the label. It has place"),
    ("one column twice", {"label": "place"}, InputError, "each its own"),
    ("a moment that is none", {"timestamp": "sky"}, InputError, r"Column 'sky' holds '\w+' .* is no moment"),
    ("two values wanted", {"kind": "binary"}, InputError, r"'heat' has \d+ different values.*regression"),
    ("no number", {"label": "sky"}, InputError, "'sky' holds text, and a regression"),
    ("which is yes", {"label": "sky", "kind": "binary"}, InputError, "means yes: --positive cloud"),
    ("both ways", {"ahead": timedelta(1), "label_after": timedelta(1)}, InputError, "Say --ahead or --label-after"),
    ("left out", {"without": ("heat",)}, InputError, r"\['heat'\] cannot be left out"),
    ("too far ahead", {"ahead": timedelta(days=20)}, DataError, "it must span"),
]


@pytest.mark.parametrize(("_why", "change", "error", "said"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_cannot_become_a_use_case_is_refused(
    tmp_path: Path, _why: str, change: dict[str, Any], error: type[EsteiraError], said: str
) -> None:
    with pytest.raises(error, match=said):
        plan(wanted(tmp_path, stations(), **change))


def test_rows_that_share_key_and_time_are_named(tmp_path: Path) -> None:
    doubled = pl.concat([stations(), stations().slice(7, 1)])
    with pytest.raises(DataError, match=r"2 rows share their 'place' and 'read at'.*'north' at 2024-01-01T07:00:00"):
        plan(wanted(tmp_path, doubled))


def test_a_row_that_is_nobodys_is_refused(tmp_path: Path) -> None:
    nobody = stations().with_columns(pl.when(pl.col("heat") > 15).then(None).otherwise("place").alias("place"))
    with pytest.raises(DataError, match="rows have no 'place'"):
        plan(wanted(tmp_path, nobody))


def test_a_reserved_name_is_refused_unless_it_is_left_out(tmp_path: Path) -> None:
    taken = stations(outcome=pl.lit(1))
    with pytest.raises(InputError, match=r"uses the column names \['outcome'\].*--without outcome"):
        plan(wanted(tmp_path, taken))
    assert plan(wanted(tmp_path, taken, without=("outcome",))).features


def test_a_label_that_stands_in_its_own_row_is_a_leak(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"known when the question is asked: a leak.*--label-after 30d"):
        plan(wanted(tmp_path, orders(), **ORDERS))


def test_a_column_that_is_known_with_the_label_only_is_found_and_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'back_on' .* AUC of 1\.0000.*--without 'back on'"):
        plan(wanted(tmp_path, orders(), **{**ORDERS, "without": ()}, label_after=timedelta(days=14)))


def test_an_empty_an_absent_and_a_strange_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no record"):
        plan(wanted(tmp_path, stations().clear()))
    described = wanted(tmp_path, stations())
    for source, error in ((tmp_path / "none.csv", MissingData), (Path(__file__), InputError)):
        with pytest.raises(error):
            plan(Wanted(**{**vars(described), "source": source}))
