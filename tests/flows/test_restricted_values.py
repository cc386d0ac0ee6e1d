from pathlib import Path

import pytest

from esteira.stores.data import tables
from esteira.stores.stewardship import byte_scan
from tests.conftest import Belt

pytestmark = pytest.mark.slow
STORES = ("tables", "training_sets", "prediction_log", "feast", "cached_predictions.db")
"""Where values are kept on purpose, under the purpose rule; everything else people may look at."""


def test_no_registration_is_in_logs_profiles_cards_models_runs_or_prefects_database(belt: Belt) -> None:
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    registrations = tables.read("schedules")["tailnum"].drop_nulls().unique().to_list()
    canaries = [each for each in registrations if len(each) >= 6]  # shorter ones occur by chance
    assert len(canaries) > 2_000
    found = {path.relative_to(belt.home) for path in byte_scan.places(belt.home, canaries)}
    assert {path.parts[0] for path in found} >= {"tables", "training_sets", "feast"}
    assert [path for path in sorted(found) if not path.parts[0].startswith(STORES)] == []
    database = Path(str(PREFECT_API_DATABASE_CONNECTION_URL.value()).partition("///")[2])
    assert byte_scan.places(database.parent, [f"train-{belt.use_case.name}"])  # its runs are there to be searched
    assert byte_scan.places(database.parent, canaries) == []
