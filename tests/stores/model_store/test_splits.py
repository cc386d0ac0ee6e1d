from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import EVENT, MOMENT, utc
from esteira.errors import MissingData
from esteira.stores.model_store import splits, training_sets
from esteira.training.split import ASIDE, HOLDOUT, TRAIN, part_names, split_by_time

START, DAY = utc("2013-01-01"), timedelta(days=1)
AS_OF = START + 100 * DAY


def labelled() -> pl.DataFrame:
    """A hundred days, one row each; those of the last month lie higher."""
    return pl.DataFrame(
        {
            "flight_id": [f"flight {day}" for day in range(100)],
            "tailnum": [f"N{day % 7}" for day in range(100)],
            "origin": ["JFK" if day % 3 else "EWR" for day in range(100)],
            "delay": [float(day % 10 + (day > 70) * 100) for day in range(100)],
            "outcome": [float(day % 2) for day in range(100)],
            EVENT: [START + DAY * day for day in range(100)],
        },
        schema_overrides={EVENT: MOMENT},
    )


def split(rows: pl.DataFrame) -> pl.Series:
    found = split_by_time(rows[EVENT], holdout=20 * DAY, gap=2 * DAY, as_of=AS_OF)
    return rows.select(part_names(found.train, found.holdout)).to_series()


@pytest.fixture
def kept(home: Path) -> Path:
    rows = labelled()
    path = training_sets.save("flight_delay", rows, as_of=AS_OF, data_versions={})
    splits.record(path, rows, split(rows), entity_id="flight_id")
    return path


def moments(path: Path, name: str) -> tuple[datetime | None, datetime | None]:
    part = splits.recorded(path)[name].part
    return part.first, part.last


def test_every_row_is_in_one_part_and_the_parts_keep_their_distance(kept: Path) -> None:
    parts = splits.recorded(kept).parts
    assert [each.part.name for each in parts] == [TRAIN, ASIDE, HOLDOUT]
    assert [each.part.rows for each in parts] == [77, 3, 20]
    assert [each.part.entities for each in parts] == [77, 3, 20], "no entity is in two parts"
    last, first = moments(kept, TRAIN)[1], moments(kept, HOLDOUT)[0]
    assert first is not None
    assert last is not None
    assert first - last > 2 * DAY


def test_each_part_has_a_profile_of_its_rows_alone_without_what_names_anybody(kept: Path) -> None:
    found = splits.recorded(kept)
    assert {name: found[name].spread.rows for name in (TRAIN, ASIDE, HOLDOUT)} == {TRAIN: 77, ASIDE: 3, HOLDOUT: 20}
    assert found[HOLDOUT].spread.column("delay").quantile([0.0]).item() >= 100
    assert set(found[TRAIN].spread.columns) == {"origin", "delay", "outcome"}
    assert next(iter(splits.distances(found))) == "delay", "the column that moved is the first"
    figures = splits.as_figures(found)[TRAIN]
    assert isinstance(figures, dict)
    assert figures["columns"]["origin"]["most_frequent"] == {"JFK": 51, "EWR": 26}


def test_the_page_shows_counts_and_spreads_and_escapes_what_it_shows(home: Path) -> None:
    rows = labelled().with_columns(origin=pl.lit("<b>"))
    path = training_sets.save("flight_delay", rows, as_of=AS_OF, data_versions={})
    page = splits.to_html(splits.record(path, rows, split(rows), entity_id="flight_id"))
    assert "train: 77 rows of 77 entities, 2013-01-01" in page
    assert page.count("<svg") == 9
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_rows_that_are_taken_out_are_counted_no_more(kept: Path) -> None:
    before = {name: moments(kept, name) for name in (TRAIN, HOLDOUT)}
    fewer = training_sets.load(kept).filter(pl.col("tailnum") != "N3")
    splits.record_again(kept, fewer)
    assert sum(each.part.rows for each in splits.recorded(kept).parts) == fewer.height
    assert splits.recorded(kept)[TRAIN].spread.rows == 77 - 11
    assert {name: moments(kept, name) for name in (TRAIN, HOLDOUT)} == before, "none of them was the first or last"


def test_a_training_set_that_was_not_split_says_so_and_a_removed_one_leaves_nothing(kept: Path) -> None:
    other = training_sets.save("flight_delay", labelled().head(5), as_of=AS_OF + DAY, data_versions={})
    with pytest.raises(MissingData, match="Run the train flow again"):
        splits.recorded(other)
    splits.record_again(other, labelled())
    assert training_sets.newest("flight_delay") == other
    training_sets.remove("flight_delay", kept.name)
    assert [each.name for each in kept.parent.iterdir()] == [other.name]
