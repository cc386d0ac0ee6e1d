from html.parser import HTMLParser

import pytest

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import MissingData, WrongColumns
from esteira.stewardship.data_card import (
    MISSING,
    ColumnFacts,
    DataCard,
    HumanFacts,
    catalogue_html,
    require_complete,
    to_html,
    to_markdown,
)
from esteira.stores.data import data_cards

WHOLE = HumanFacts(**dict.fromkeys(HumanFacts.model_fields, "said"))
CARD = DataCard(
    table="departures", version=3, source="flights", human=WHOLE.model_copy(update={"licence": " "}), rows=1200,
    size_bytes=2_000_000, event_from=utc("2013-01-01"), event_until=utc("2013-03-01"),
    columns=(
        ColumnFacts(name="tailnum", type="String", sensitivity="pii"),
        ColumnFacts(name="origin|dest", type="String", missing_share=0.25, summary="<JFK> 60%", bars=(("<JFK>", 0.6),)),
    ),
)  # fmt: skip


class Outside(HTMLParser):
    """Everything a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name == "src" or (name == "href" and tag == "link")]


def test_a_card_tells_what_was_measured_and_flags_what_nobody_wrote() -> None:
    text = to_markdown(CARD)
    assert text.startswith("# departures, version 3")
    assert f"**licence**: {MISSING}" in text
    assert "1,200 rows of 2 columns, 2.0 MB, from 2013-01-01 00:00 to 2013-03-01 00:00 UTC." in text
    assert "| tailnum | String | pii |  |  |" in text
    assert "| origin\\|dest | String |  | 25.0% | <JFK> 60% |" in text


def test_a_page_needs_nothing_else_and_shows_markup_as_text() -> None:
    for page in (to_html(CARD), catalogue_html([CARD])):
        outside = Outside()
        outside.feed(page)
        assert outside.loaded == []
        assert "<JFK>" not in page
    assert '<a href="departures.html">' in catalogue_html([CARD])
    assert "&lt;JFK&gt;: 60.0%" in to_html(CARD)


def test_a_gap_in_the_card_is_refused_by_name() -> None:
    require_complete(WHOLE, "flights", "data_card.toml")
    with pytest.raises(MissingData, match=r"'flights' is not complete: licence are missing in data_card\.toml"):
        require_complete(CARD.human, "flights", "data_card.toml")


@pytest.mark.parametrize("text", ["purpose = ", 'license = "CC0"', "purpose = 3"])
def test_a_file_that_is_not_a_card_is_refused(text: str) -> None:
    with pytest.raises(WrongColumns, match=r"data_card\.toml"):
        HumanFacts.parse(text, "data_card.toml")


@pytest.mark.parametrize("name", use_cases.names())
def test_the_shipped_cards_are_complete(name: str) -> None:
    data_cards.require_complete_card(use_cases.get(name).source)
