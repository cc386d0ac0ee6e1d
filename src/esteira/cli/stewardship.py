"""``esteira data``, as far as care is concerned: rows for a purpose, cards, holds, forgetting."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from esteira.errors import InputError
from esteira.settings import settings

console = Console()
Reason = Annotated[str, typer.Option(help="Why; it is kept in the audit log.")]


def register(app: typer.Typer) -> None:
    """Add these verbs to ``esteira data``."""
    app.command("rows")(show_rows)
    app.command("card")(show_card)
    app.command("catalogue")(catalogue)
    app.command("hold")(hold)
    app.command("holds")(list_holds)
    app.command("lift")(lift)
    app.command("forget")(forget)


def show_rows(
    table: Annotated[str, typer.Argument(help="A table, such as departures.")],
    columns: Annotated[str | None, typer.Option(help="Only these, e.g. flight_id,tailnum.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
    version: Annotated[int | None, typer.Option(help="As the table stood at this version.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What restricted columns are needed for; it is recorded.")] = None,
) -> None:
    """Rows of a table; restricted values are masked, or shown when their columns are named with a purpose."""
    import polars as pl

    from esteira.stores.stewardship import reading

    wanted = columns.split(",") if columns else None
    shown = reading.read(table, columns=wanted, rows=rows, at_version=version, purpose=purpose, actor=settings().actor)
    with pl.Config(tbl_rows=rows, tbl_cols=-1, tbl_width_chars=-1, fmt_str_lengths=60):  # no name is cut off
        console.print(str(shown), markup=False, highlight=False, soft_wrap=True)


def show_card(
    table: Annotated[str, typer.Argument(help="A raw or feature table, such as departures.")],
    version: Annotated[int | None, typer.Option(help="An older version; the newest by default.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write it as one page to this file.")] = None,
) -> None:
    """The card of a version: purpose, origin, licence, limits, owner, schema, and how its values are spread."""
    from esteira.stewardship.data_card import to_html, to_markdown
    from esteira.stores.data import data_cards
    from esteira.stores.whole_files import write_whole

    card = data_cards.build(table, version)
    if html is None:
        console.print(to_markdown(card), markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(f"Written to {write_whole(html, to_html(card).encode())}.", soft_wrap=True)
    if card.human.missing:
        console.print(f"[yellow]Missing:[/] {', '.join(card.human.missing)}.")


def catalogue() -> None:
    """Write the pages of all data, and one on which they are searched."""
    from esteira.stores.data import data_cards

    console.print(f"Written to {data_cards.write_catalogue()}.", soft_wrap=True)


def hold(
    item: Annotated[str, typer.Argument(help="KIND:NAME, such as table:arrivals, model:flight_delay/… or entity:…=….")],
    reason: Reason,
) -> None:
    """Keep an item from retention and forgetting until the hold is lifted."""
    from esteira.stores.stewardship import holds

    placed = holds.place(item, actor=settings().actor, reason=reason)
    console.print(f"Hold {placed.id} on {placed.item}. Lift it: esteira data lift {placed.id} --reason …")


def list_holds() -> None:
    """The holds that stand."""
    from esteira.stores.stewardship import holds

    for each in holds.active():
        line = f"{each.id:>4}  {each.placed_at:%Y-%m-%d}  {each.item}  by {each.actor}: {each.reason}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def lift(hold_id: Annotated[int, typer.Argument(help="As esteira data holds lists it.")], reason: Reason) -> None:
    """Let retention and forgetting have an item again."""
    from esteira.stores.stewardship import holds

    lifted = holds.lift(hold_id, actor=settings().actor, reason=reason)
    console.print(f"Hold {lifted.id} on {lifted.item} is lifted.", markup=False)


def forget(
    entity: Annotated[str, typer.Option(help="Which one: COLUMN=VALUE, such as tailnum=N0TAIL.")], reason: Reason
) -> None:
    """Erase one entity from everything the belt keeps, prove it, and list the models that were trained on it."""
    from esteira.stores.stewardship import forgetting

    column, equals, value = entity.partition("=")
    if not equals:
        raise InputError(f"Cannot read {entity!r} as an entity. Expected COLUMN=VALUE, such as tailnum=N0TAIL.")
    done = forgetting.forget(column, value, reason=reason, actor=settings().actor)
    for place, count in done.erased.items():
        console.print(f"{count:>8,}  {place}", markup=False, highlight=False)
    console.print(f"{done.subject} is nowhere under {settings().home}: every file was searched.", soft_wrap=True)
    if done.models:
        console.print("Trained on it, to be retrained or retired: " + ", ".join(done.models), soft_wrap=True)
