"""Make the data card of a version: the source's human facts, and what the table and its profile tell."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from esteira import use_cases
from esteira.contract import EVENT, Source
from esteira.errors import UnknownName
from esteira.monitoring.distribution import Distribution
from esteira.settings import settings
from esteira.stewardship.data_card import ColumnFacts, DataCard, HumanFacts, catalogue_html, require_complete, to_html
from esteira.stores.data import synthetic, tables, versions
from esteira.stores.stewardship import sensitivity
from esteira.stores.whole_files import write_whole


def human_facts(source: Source) -> HumanFacts:
    """What people wrote about a source; everything is missing when there is no file. Raises WrongColumns.

    Of invented data, origin and collection are that it was invented.
    """
    file = card_file(source)
    written = HumanFacts.parse(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else HumanFacts()
    mark = synthetic.mark_of(source)
    return written if mark is None else written.model_copy(update={"origin": mark, "collection": mark})


def card_file(source: Source) -> Path:
    """Where the human half of a source's card is kept: beside its schema."""
    return source.schema_file.with_name("data_card.toml")


def require_complete_card(source: Source) -> None:
    """Raise MissingData when a human fact of the source is missing."""
    require_complete(human_facts(source), source.name, str(card_file(source)))


def build(table: str, version: int | None = None) -> DataCard:
    """The card of a version of a raw or feature table, the newest by default; restricted values are not on it.

    Raises UnknownName for a table of no source, and as ``tables.read`` does.
    """
    source = _source_of(table)
    asked = tables.version(table) if version is None else version
    scanned = tables.scan(table, at_version=asked)
    schema = scanned.collect_schema()
    first, last = scanned.select(pl.col(EVENT).min(), pl.col(EVENT).max().alias("last")).collect().row(0)
    restricted = sensitivity.restricted_columns()
    spread = {name: each for name, each in versions.profile_at(table, asked).columns.items() if name not in restricted}
    columns = tuple(
        _facts(name, str(kind), restricted.get(name, ""), spread.get(name)) for name, kind in schema.items()
    )
    return DataCard(
        table=table,
        version=asked,
        source=source.name,
        human=human_facts(source),
        rows=tables.row_count(table, at_version=asked),
        size_bytes=sum(file.stat().st_size for file in (settings().tables_path / table).glob("**/*.parquet")),
        event_from=first,
        event_until=last,
        columns=columns,
    )


def write_catalogue() -> Path:
    """Write a page for every raw and feature table, and one on which they are searched; return that one."""
    folder = settings().reports_path / "data"
    cards = [build(name) for name in tables.names() if name in _owners()]
    for card in cards:
        write_whole(folder / f"{card.table}.html", to_html(card).encode())
    return write_whole(folder / "index.html", catalogue_html(cards).encode())


def _owners() -> dict[str, Source]:
    found: dict[str, Source] = {}
    for declared in map(use_cases.get, use_cases.names()):
        named = [table.name for table in declared.source.tables] + [table.name for table in declared.feature_tables]
        found |= dict.fromkeys(named, declared.source)
    return found


def _source_of(table: str) -> Source:
    owners = _owners()
    if table not in owners:
        raise UnknownName.among("table of a source", table, sorted(owners), "See: esteira data list")
    return owners[table]


def _facts(name: str, kind: str, sensitivity_: str, spread: Distribution | None) -> ColumnFacts:
    if spread is None or not spread.count:
        return ColumnFacts(name=name, type=kind, sensitivity=sensitivity_)
    return ColumnFacts(
        name=name,
        type=kind,
        sensitivity=sensitivity_,
        missing_share=spread.missing / spread.count,
        summary=_summary(spread),
        bars=versions.bars(spread),
    )


def _summary(spread: Distribution) -> str:
    if spread.type == "category":
        return ", ".join(f"{value} {rows / spread.count:.0%}" for value, rows in _frequent(spread)[:5])
    low, middle, high = spread.quantile((0.0, 0.5, 1.0)).tolist() or (None,) * 3
    return "" if low is None else f"{low:,.6g} to {high:,.6g}, median {middle:,.6g}"


def _frequent(spread: Distribution) -> Sequence[tuple[str, int]]:
    return sorted(spread.categories.items(), key=lambda item: (-item[1], item[0]))
