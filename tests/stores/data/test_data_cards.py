from pathlib import Path

import polars as pl
import pytest

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import UnknownName
from esteira.stores.data import data_cards, tables

SOURCE = use_cases.get("flight_delay").source
UNTIL = utc("2013-01-02T12:00:00Z")


def append(table: str) -> pl.DataFrame:
    rows = SOURCE.read(table, utc("2012-12-31"), UNTIL)
    tables.append(table, rows, until=UNTIL)
    return rows


def test_a_card_of_real_records_measures_them_and_keeps_registrations_to_itself(home: Path) -> None:
    rows = append("departures")
    card = data_cards.build("departures")
    assert (card.rows, card.version, card.source) == (rows.height, 0, "flights")
    assert card.human.missing == ()
    columns = {each.name: each for each in card.columns}
    assert (columns["tailnum"].sensitivity, columns["tailnum"].bars) == ("pii", ())
    assert columns["origin"].bars
    told = card.model_dump_json()
    assert not [name for name in rows["tailnum"].drop_nulls().unique() if name in told]


def test_the_catalogue_lists_every_table_of_a_source_with_a_page_of_its_own(home: Path) -> None:
    append("departures")
    append("weather")
    index = data_cards.write_catalogue()
    assert {path.name for path in index.parent.iterdir()} == {"index.html", "departures.html", "weather.html"}
    assert "weather.html" in index.read_text()


def test_a_table_of_no_source_has_no_card(home: Path) -> None:
    with pytest.raises(UnknownName, match="'departure'"):
        data_cards.build("departure")
