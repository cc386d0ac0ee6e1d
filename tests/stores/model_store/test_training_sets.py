from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from esteira.errors import MissingData
from esteira.stores.model_store import training_sets

ROWS = pl.DataFrame({"origin": ["JFK", None, "EWR"], "delay": [1.5, float("nan"), None], "outcome": [0.0, 1.0, 1.0]})


def test_what_was_saved_is_loaded_with_its_versions_and_digest(home: Path) -> None:
    as_of = datetime(2013, 3, 1, tzinfo=UTC)
    path = training_sets.save("flight_delay", ROWS, as_of=as_of, data_versions={"arrivals": 3})
    assert training_sets.load(path).equals(ROWS)
    assert training_sets.data_versions(path) == {"arrivals": 3}
    assert training_sets.digest(training_sets.load(path)) == training_sets.digest(ROWS)
    with pytest.raises(MissingData):
        training_sets.load(path.with_name("other.parquet"))


def test_the_digest_sees_values_names_and_order_but_not_chunks() -> None:
    digest = training_sets.digest(ROWS)
    assert training_sets.digest(pl.concat([ROWS.head(1), ROWS.tail(2)], rechunk=False)) == digest
    changed = [
        ROWS.reverse(),
        ROWS.rename({"delay": "wait"}),
        ROWS.with_columns(pl.col("delay").fill_null(0.0)),
        ROWS.with_columns(pl.col("delay").fill_nan(None)),
        ROWS.with_columns(pl.col("origin").fill_null("")),
        ROWS.head(2),
        ROWS.select("delay", "origin", "outcome"),
    ]
    assert len({digest, *(training_sets.digest(each) for each in changed)}) == len(changed) + 1
