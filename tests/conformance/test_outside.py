"""A use case of another package, unlike the flights in everything, keeps every law: they are laws of use cases."""

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from esteira import use_cases
from esteira.conformance.check import check
from esteira.contract import utc
from esteira.errors import InputError
from esteira.settings import settings
from esteira.stores import audit
from flows.steps import plugged

OUTSIDE = Path(__file__).parents[1] / "outside"
METERS, DAYS, FIRST = 40, 100, datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def installed(home: Path, tmp_path: Path) -> Iterator[Path]:
    """The package on the path, its metadata beside it, as pip leaves them; its deliveries are in ``tmp_path``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(OUTSIDE))
        patch.setenv("ESTEIRA_SOURCE_LOCATIONS", f'{{"waterworks": "{tmp_path}"}}')
        settings.cache_clear()
        use_cases.outside.cache_clear()
        plugged.registered.cache_clear()
        yield tmp_path
    for module in ("waterworks", "waterworks.steps"):
        sys.modules.pop(module, None)
    use_cases.outside.cache_clear()
    plugged.registered.cache_clear()


def deliver(folder: Path) -> None:
    """A hundred days of forty households: more at weekends, and in proportion to who lives there."""
    generator = np.random.default_rng(5)
    persons = generator.integers(1, 6, METERS)
    with (folder / "meters.csv").open("w", newline="") as file:
        rows = ((meter, int(count), FIRST.isoformat()) for meter, count in enumerate(persons))
        csv.writer(file).writerows([("meter", "persons", "since"), *rows])
    with (folder / "readings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("meter", "day", "litres", "read_at", "received_at"))
        for day in range(DAYS):
            end = FIRST + timedelta(days=day + 1)
            usual = 120 * persons * (1.3 if end.weekday() in (6, 0) else 1.0)
            litres = generator.normal(usual, 15).clip(0).astype(int)
            writer.writerows(
                (meter, day, int(used), end.isoformat(), (end + timedelta(hours=3)).isoformat())
                for meter, used in enumerate(litres)
            )


def test_an_installed_package_registers_a_use_case_without_a_line_in_the_checkout(installed: Path) -> None:
    assert use_cases.names()[-1] == "water_use"
    assert use_cases.get("water_use").owner == "pumps@waterworks.example"
    assert use_cases.folder("water_use") == OUTSIDE / "waterworks"


def test_a_name_that_is_taken_cannot_be_registered_again(home: Path, tmp_path: Path) -> None:
    metadata = tmp_path / "copycat-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: copycat\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{use_cases.GROUP}]\nflight_delay = copycat\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        use_cases.outside.cache_clear()
        with pytest.raises(InputError, match=r"'flight_delay' of copycat cannot be registered: esteira\.use_cases"):
            use_cases.names()
    use_cases.outside.cache_clear()


@pytest.mark.slow
def test_serving_trees_and_flights_are_optional(installed: Path) -> None:
    deliver(installed)
    as_of = utc(FIRST + timedelta(days=90, hours=3))
    findings = list(check(use_cases.get("water_use"), as_of))
    assert [found for found in findings if found.broken] == []
    assert len(findings) > 25
    # A step that the package plugs into train has run there, and its outputs are on record.
    (trained,) = [each for each in audit.entries() if each.action == "trained"]
    rows = pl.read_parquet(trained.details["training_set"]).height
    assert rows > 3_000
    assert trained.details["plugged"] == {"weigh_households": {"use_case": "water_use", "rows": rows}}
