import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esteira import use_cases
from esteira.cli import app
from esteira.contract import Source
from esteira.errors import DataError, InputError
from esteira.settings import settings
from esteira.stores.data import data_cards, schemas, synthetic, tables
from esteira.use_cases.flights.source import FlightsSource
from flows.steps.data import append_raw
from tests.data.orders import FrameSource
from tests.stores.data.test_intake import HISTORY

NAME, DAYS = "flight_delay", 12
SOURCE: Source = use_cases.get(NAME).source


@pytest.fixture
def invented(home: Path, tmp_path: Path) -> Path:
    return synthetic.write(SOURCE, tmp_path / "invented", seed=7, days=DAYS)


@pytest.fixture
def in_use(invented: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESTEIRA_SOURCE_LOCATIONS", json.dumps({"flights": str(invented)}))
    settings.cache_clear()
    return invented


def content(folder: Path) -> Mapping[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_same_seed_makes_the_same_files_and_another_others(invented: Path, tmp_path: Path) -> None:
    assert content(synthetic.write(SOURCE, tmp_path / "again", seed=7, days=DAYS)) == content(invented)
    assert content(synthetic.write(SOURCE, tmp_path / "other", seed=8, days=DAYS)) != content(invented)


def test_none_of_its_flights_aircraft_or_destinations_is_real(invented: Path) -> None:
    real, made = FlightsSource(), FlightsSource(invented)
    for table, column in (("schedules", "flight_id"), ("planes", "tailnum"), ("schedules", "dest")):
        assert not set(real._frame(table)[column]) & set(made._frame(table)[column])


def test_every_check_of_the_reviewed_schema_is_passed_on_the_way_in(in_use: Path) -> None:
    first, last = SOURCE.span()
    assert last is not None
    for moment in (first + (last - first) / 2, last):
        reports = append_raw.fn(NAME, moment)
        failing = [
            str(each) for report in reports for each in report.findings if each.outcome in ("fail", "quarantine")
        ]
        assert failing == []
    assert tables.row_count("arrivals") > 200 * DAYS


def test_a_card_says_that_the_data_is_invented(in_use: Path) -> None:
    facts = data_cards.human_facts(SOURCE)
    assert facts.origin == f"Invented data of source 'flights': seed 7, {DAYS} days. Nothing in it is true."
    assert facts.owner != "", "the rest stays as people wrote it"


def test_production_takes_nothing_in_that_was_invented(in_use: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_PRODUCTION", "true")
    settings.cache_clear()
    with pytest.raises(DataError, match=r"nothing is made of invented data.*seed 7"):
        append_raw.fn(NAME, SOURCE.span()[0])
    assert tables.names() == ()


def test_what_breaks_the_schema_is_not_kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = schemas.accepted(SOURCE)
    assert accepted is not None
    planes = accepted.tables["planes"]
    narrow = planes.model_copy(
        update={"columns": {**planes.columns, "seats": planes.columns["seats"].model_copy(update={"high": 25.0})}}
    )
    stricter = accepted.model_copy(update={"tables": {**accepted.tables, "planes": narrow}})
    monkeypatch.setattr(schemas, "accepted", lambda _source: stricter)
    with pytest.raises(DataError, match=r"not true to its schema:\n.*planes.seats: range"):
        synthetic.write(SOURCE, tmp_path / "invented", seed=7, days=1)
    assert list((tmp_path / "invented").iterdir()) == []


def test_a_folder_with_other_files_and_a_source_that_cannot_invent_are_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a\n")
    with pytest.raises(InputError, match="is not empty"):
        synthetic.write(SOURCE, tmp_path, seed=1, days=1)
    with pytest.raises(InputError, match="FrameSource has no method synthesize"):
        synthetic.write(FrameSource(HISTORY, tmp_path / "shop.json"), tmp_path / "new", seed=1, days=1)


def test_the_command_says_how_to_run_on_it(home: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["data", "synthesize", NAME, "--into", str(tmp_path / "new"), "--days", "2"])
    assert told.exit_code == 0, told.output
    assert f'ESTEIRA_SOURCE_LOCATIONS=\'{{"flights": "{tmp_path / "new"}"}}\'' in told.output
    assert (tmp_path / "new" / synthetic.MARK).is_file()
