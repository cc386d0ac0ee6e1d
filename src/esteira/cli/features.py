"""``esteira features``: what features there are, what is known about each, and which will be there when asked."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from esteira import use_cases
from esteira.contract import EVENT, utc
from esteira.features.catalogue import Feature, in_words, models_using, named, repeats, search
from esteira.model_card import ModelCard

app = typer.Typer(
    help="The features: what they mean, who uses them, whether they arrive in time.", no_args_is_help=True
)
console = Console()


@app.command("list")
def list_features() -> None:
    """Every declared feature, and a warning for each that repeats another."""
    from esteira.stores.feature_store import features

    declared = features.catalogue()
    console.print(_table(declared))
    for sentence in repeats(declared):
        console.print(f"[yellow]Warning:[/] {escape(sentence)}", highlight=False, soft_wrap=True)


@app.command("search")
def search_features(
    text: Annotated[str, typer.Argument(help="Words that name, description, owner or sources mention.")],
) -> None:
    """The features that mention every word."""
    from esteira.stores.feature_store import features

    console.print(_table(search(features.catalogue(), text)))


@app.command("show")
def show_feature(name: str) -> None:
    """All that is known about one feature: definition, owner, freshness, and who uses it."""
    from esteira.stores.feature_store import features

    cards = _cards()
    for feature in named(features.catalogue(), name):
        event, created = features.newest_times(feature.view) if feature.is_stored else (None, None)
        table = Table.grid(padding=(0, 2))
        for label, value in (
            ("feature", f"[bold]{feature.name}[/]"),
            ("means", escape(feature.description)),
            ("definition", feature.definition),
            ("type", feature.type),
            ("view", feature.view),
            ("owner", feature.owner),
            ("freshness", _lifetime(feature)),
            *((("newest event", _moment(event)), ("newest known", _moment(created))) if feature.is_stored else ()),
            ("read by", _listed(feature.feeds)),
            ("services", _listed(feature.services)),
            ("models", _listed(models_using(feature, cards))),
        ):
            table.add_row(f"[dim]{label}[/]", value)
        console.print(table, highlight=False)


@app.command("availability")
def show_availability(
    use_case: Annotated[str, typer.Argument(help="A use case, such as flight_delay.")],
    as_of: Annotated[str, typer.Option(help="Judge from what was known at this moment, e.g. 2013-04-01.")],
) -> None:
    """For each feature of a use case: there when asked or not, its usual delay, how often it is missing."""
    from esteira.stores.data import tables
    from esteira.stores.feature_store import features

    declared, moment = use_cases.get(use_case), utc(as_of)
    entities = declared.build_entities(tables.read_known(declared.entity_reads, moment))
    asked = entities.filter(entities[EVENT] <= moment)
    assessed = features.availability(
        declared.feature_service, features.build_training_set(declared.feature_service, asked), moment
    )
    table = Table(
        "feature", "view", "when asked", "known after (median)", "(95 %)", "null in table", "missing when asked"
    )
    for each in assessed:
        table.add_row(
            each.name,
            each.view,
            "[red]no[/]" if each.obstacle else "yes",
            _delay(each.delay_median),
            _delay(each.delay_p95),
            "" if each.null_share is None else f"{each.null_share:.1%}",
            f"{each.missing_share:.1%}",
        )
    console.print(table)
    console.print(f"{asked.height:,} questions until {_moment(moment)}.", highlight=False)
    for each in assessed:
        if each.obstacle:
            console.print(f"[red]{each.name}[/]: {escape(each.obstacle)}.", highlight=False, soft_wrap=True)


def _table(found: Sequence[Feature]) -> Table:
    from esteira.stores.feature_store import features

    cards = _cards()
    newest = {view: features.newest_times(view)[1] for view in {each.view for each in found if each.is_stored}}
    table = Table("feature", "meaning", "freshness", "owner and users")
    for each in found:
        table.add_row(
            f"[bold]{each.name}[/]\n[dim]{each.type} of {each.view}[/]",
            f"{escape(each.description)}\n[dim]{each.definition}[/]",
            f"{_lifetime(each)}\n[dim]newest {_moment(newest[each.view])}[/]" if each.is_stored else _lifetime(each),
            f"{each.owner}\n[dim]{_listed(each.services)}; models: {len(models_using(each, cards))}[/]",
        )
    return table


def _cards() -> list[ModelCard]:
    from esteira.stores.model_store import models

    return [card for use_case in use_cases.names() for card in models.cards(use_case)]


def _lifetime(feature: Feature) -> str:
    if not feature.is_stored:
        return "computed when asked"
    return "never expires" if feature.ttl is None else f"expires after {in_words(feature.ttl)}"


def _moment(moment: datetime | None) -> str:
    return "no row yet" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _delay(delay: timedelta | None) -> str:
    return "" if delay is None else in_words(delay)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
