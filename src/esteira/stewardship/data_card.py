"""The card of one version of a table: what people know of its source, and what was measured, as Markdown and as HTML.

After Gebru et al. 2021 (Datasheets for Datasets) and Pushkarna et al. 2022 (Data Cards). The human half is a TOML file
beside the use case; what it does not say stands on the card as missing.
"""

import tomllib
from collections.abc import Sequence
from datetime import datetime
from html import escape

from pydantic import ValidationError

from esteira.errors import MissingData, WrongColumns
from esteira.model_card import Frozen
from esteira.stewardship.page import page, plot

MISSING = "MISSING: write it into data_card.toml"


class HumanFacts(Frozen):
    """What only people know of a source; empty is missing."""

    purpose: str = ""
    origin: str = ""
    licence: str = ""
    collection: str = ""
    known_limits: str = ""
    sensitive: str = ""
    owner: str = ""

    @classmethod
    def parse(cls, text: str, where: str) -> "HumanFacts":
        """Read the file's ``text``; ``where`` names it in errors. Raises WrongColumns."""
        try:
            return cls.model_validate(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise WrongColumns(
                f"Cannot read the data card {where}: {error}. Expected TOML of: {', '.join(cls.model_fields)}."
            ) from error

    @property
    def missing(self) -> tuple[str, ...]:
        """The fields that nobody has written yet."""
        return tuple(name for name, text in self if not text.strip())


class ColumnFacts(Frozen):
    """One column as measured."""

    name: str
    type: str
    sensitivity: str = ""
    missing_share: float | None = None
    """None for columns that are not profiled."""
    summary: str = ""
    bars: tuple[tuple[str, float], ...] = ()
    """How the values are spread: label and share."""


class DataCard(Frozen):
    """Everything that is told of one version."""

    table: str
    version: int
    source: str
    human: HumanFacts
    rows: int
    size_bytes: int
    event_from: datetime | None
    event_until: datetime | None
    columns: tuple[ColumnFacts, ...]


def require_complete(human: HumanFacts, source: str, where: str) -> None:
    """Raise MissingData naming every field of a source's card that nobody has written."""
    if human.missing:
        raise MissingData(
            f"The data card of source {source!r} is not complete: {', '.join(human.missing)} are missing in {where}. "
            "In production nothing is trained on data whose origin nobody states. Write them, and train again."
        )


def to_markdown(card: DataCard) -> str:
    """The card as Markdown."""
    lines = [f"# {card.table}, version {card.version}", ""]
    for name, text in card.human:
        lines += [f"**{name.replace('_', ' ')}**: {text.strip() or MISSING}", ""]
    lines += [_measured(card), "", "| column | type | restricted | missing | values |", "|---|---|---|---:|---|"]
    for each in card.columns:
        missing = "" if each.missing_share is None else f"{each.missing_share:.1%}"
        cells = (each.name, each.type, each.sensitivity, missing, each.summary)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def to_html(card: DataCard) -> str:
    """The card as one page that needs nothing else."""
    human = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd{'' if text.strip() else ' class=missing'}>"
        f"{escape(text.strip() or MISSING)}</dd>"
        for name, text in card.human
    )
    rows = "".join(
        f"<tr><td>{escape(each.name)}<td>{escape(each.type)}<td>{escape(each.sensitivity)}"
        f"<td>{'' if each.missing_share is None else f'{each.missing_share:.1%}'}<td>{escape(each.summary)}"
        f"<td>{plot(each.bars)}</tr>"
        for each in card.columns
    )
    body = (
        f"<dl>{human}</dl><p>{escape(_measured(card))}</p><table><tr><th>column<th>type<th>restricted<th>missing"
        f"<th>values<th>spread</tr>{rows}</table>"
    )
    return page(f"{card.table}, version {card.version}", body)


def catalogue_html(cards: Sequence[DataCard]) -> str:
    """One page with every table, searched as one types; each leads to ``<table>.html`` beside it."""
    rows = "".join(
        f'<tr><td><a href="{escape(card.table)}.html">{escape(card.table)}</a><td>{escape(card.source)}'
        f"<td>{card.version}<td>{card.rows:,}<td>{escape(', '.join(each.name for each in card.columns))}"
        f"<td>{escape(card.human.owner or MISSING)}<td>{escape(card.human.purpose or MISSING)}</tr>"
        for card in cards
    )
    body = (
        '<input id="asked" type="search" placeholder="table, column, owner, purpose …" aria-label="search">'
        "<table><thead><tr><th>table<th>source<th>version<th>rows<th>columns<th>owner<th>purpose</tr></thead>"
        f'<tbody id="found">{rows}</tbody></table><script>asked.oninput = () => {{ const words = '
        "asked.value.toLowerCase().split(/\\s+/); for (const row of found.rows) row.hidden = "
        "!words.every(word => row.textContent.toLowerCase().includes(word)) }</script>"
    )
    return page("Data", body)


def _measured(card: DataCard) -> str:
    reach = (
        f", from {card.event_from:%Y-%m-%d %H:%M} to {card.event_until:%Y-%m-%d %H:%M} UTC" if card.event_from else ""
    )
    return f"{card.rows:,} rows of {len(card.columns)} columns, {card.size_bytes / 1e6:,.1f} MB{reach}."
