"""Through the real feature store: a training row sees what was known two hours before departure, and nothing else."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, utc
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.use_cases.flight_delay import USE_CASE
from esteira.use_cases.flights.features import AIRCRAFT_MEMORY
from esteira.use_cases.flights.on_demand import OUTPUTS
from esteira.use_cases.flights.tables import START

# Feast calls on-demand views experimental whenever one is applied.
pytestmark = pytest.mark.filterwarnings("ignore:On demand feature view is an experimental:RuntimeWarning")

BEFORE, FROM, UNTIL = START - timedelta(seconds=1), utc("2013-01-03T15:00Z"), utc("2013-01-03T19:00Z")


@pytest.fixture
def raw(home: Path) -> dict[str, pl.DataFrame]:
    """Everything known by the evening of the third day, its feature tables, and the repository applied."""
    read = {table.name: USE_CASE.source.read(table.name, BEFORE, UNTIL) for table in USE_CASE.source.tables}
    for table in USE_CASE.feature_tables:
        tables.append(table.name, table.compute(read).filter(pl.col(CREATED) <= UNTIL), until=UNTIL)
    features.open_store.cache_clear()
    features.apply()
    return read


@pytest.mark.slow
def test_a_training_row_sees_what_was_known_when_it_was_asked(raw: dict[str, pl.DataFrame]) -> None:
    entities = USE_CASE.build_entities(raw).filter(pl.col(EVENT).is_between(FROM, UNTIL)).sort("flight_id")
    found = features.build_training_set(USE_CASE.feature_service, entities)
    assert found.height == entities.height > 150
    assert found["origin_dep_delay_mean_2h"].null_count() == 0
    assert 0 < found["weather_temp"].null_count() + found["plane_seats"].null_count() < found.height
    departures, seen = raw["departures"], {False: 0, True: 0}
    for row in found.iter_rows(named=True):
        assert row["block_minutes"] == (row["scheduled_arrival"] - row["scheduled_departure"]) / 60
        known = departures.filter((pl.col("origin") == row["origin"]) & (pl.col(EVENT) <= row[EVENT]))
        # The view's newest row stands at whatever happened there last: a flight left, came due or was cancelled.
        happened = pl.concat(
            raw[name].filter((pl.col("origin") == row["origin"]) & (pl.col(CREATED) <= row[EVENT]))[CREATED]
            for name in ("departures", "due", "cancellations")
        )
        last_hour = known.filter(pl.col(EVENT) > happened.max() - timedelta(hours=1))["dep_delay"]  # type: ignore[operator]
        assert row["origin_departures_count_1h"] == len(last_hour)
        assert row["origin_dep_delay_mean_1h"] == pytest.approx(last_hour.mean())
        remembered = pl.col(EVENT).is_between(row[EVENT] - AIRCRAFT_MEMORY, row[EVENT])
        legs = departures.filter((pl.col("tailnum") == row["tailnum"]) & remembered)
        assert row["aircraft_last_dep_delay"] == (legs["dep_delay"][-1] if legs.height else None)
        seen[legs.height > 0] += 1
    assert min(seen.values()) > 0, "both aircraft with and without a last leg were looked at"
    assert {name for name in OUTPUTS if found[name].null_count() == found.height} == set()
