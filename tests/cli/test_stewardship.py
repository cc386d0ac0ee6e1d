"""``esteira data`` and ``esteira audit``, as far as care is concerned, on a day of the real flights."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from esteira.cli import app
from esteira.contract import utc
from esteira.errors import AccessRefused, EsteiraError, InputError, UnknownName
from esteira.stores import audit
from esteira.stores.data import tables
from esteira.stores.stewardship import byte_scan
from flows.steps.data import append_raw

TAIL = "N14228"
AIRCRAFT = f"tailnum={TAIL}"


@pytest.fixture
def day(home: Path) -> Path:
    """The records of the first day, in a home of their own."""
    append_raw.fn("flight_delay", utc("2013-01-02T05:00:00Z"))
    return home


def told(*words: str) -> str:
    found = CliRunner().invoke(app, words, catch_exceptions=True)
    if isinstance(found.exception, EsteiraError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_rows_are_masked_unless_a_column_is_named_for_a_purpose_that_is_kept(day: Path) -> None:
    masked = told("data", "rows", "departures", "--rows", "1000")
    assert "tailnum" in masked
    assert TAIL not in masked
    with pytest.raises(AccessRefused, match="purpose"):
        told("data", "rows", "departures", "--columns", "flight_id,tailnum")
    opened = told(
        "data", "rows", "departures", "--columns", "tailnum", "--rows", "1000", "--purpose", "a lost aircraft"
    )
    assert TAIL in opened
    assert "a lost aircraft" in told("audit", "--action", "read restricted")


def test_a_card_tells_what_is_known_and_measured_and_becomes_a_page(day: Path, tmp_path: Path) -> None:
    card = told("data", "card", "departures")
    assert "# departures, version 0" in card
    assert f"{tables.row_count('departures'):,} rows of 12 columns" in card
    assert "Missing:" not in card, "the human half of the shipped source is whole"
    page = tmp_path / "card.html"
    assert str(page) in told("data", "card", "departures", "--html", str(page)).replace("\n", "")
    assert "<svg" in page.read_text()
    assert TAIL not in page.read_text()
    with pytest.raises(UnknownName, match="no version 7"):
        told("data", "card", "departures", "--version", "7")


def test_the_catalogue_has_a_page_for_each_table_and_one_to_search(day: Path) -> None:
    index = day / "reports" / "data" / "index.html"
    assert str(index) in told("data", "catalogue").replace("\n", "")
    assert {each.stem for each in index.parent.glob("*.html")} == {"index", *tables.names()}
    assert 'href="arrivals.html"' in index.read_text()


def test_what_is_held_is_forgotten_only_when_the_hold_is_lifted_and_all_of_it_is_audited(day: Path) -> None:
    flown = told("data", "rows", "departures", "--columns", "tailnum", "--rows", "1000", "--purpose", "count").count(
        TAIL
    )
    assert flown > 0
    placed = told("data", "hold", f"entity:{AIRCRAFT}", "--reason", "an inquiry")
    assert "Hold 1 on entity:tailnum=" in placed
    assert TAIL not in placed, "the registration itself is not kept"
    assert "an inquiry" in told("data", "holds")
    with pytest.raises(EsteiraError, match="held since"):
        told("data", "forget", "--entity", AIRCRAFT, "--reason", "asked for")
    assert "is lifted" in told("data", "lift", "1", "--reason", "closed")
    assert "an inquiry" not in told("data", "holds")
    before = tables.row_count("departures")
    done = told("data", "forget", "--entity", AIRCRAFT, "--reason", "asked for")
    assert "every file was searched" in done.replace("\n", " ")
    assert tables.row_count("departures") == before - flown
    assert byte_scan.places(day, [TAIL]) == []
    deeds = ("held", "lifted hold", "began to forget", "forgot")
    assert [each.action for each in audit.entries() if each.action in deeds] == list(deeds)
    assert "each as it was written" in told("audit", "--verify")
    with pytest.raises(InputError, match="COLUMN=VALUE"):
        told("data", "forget", "--entity", TAIL, "--reason", "asked for")
