"""``esteira models``: the stored models, their cards as pages, and portable copies of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from esteira import use_cases
from esteira.contract import PRIMARY
from esteira.errors import UnknownName
from esteira.model_card import REFERENCE, ModelCard

if TYPE_CHECKING:
    from esteira.cli.card_page import Subject

app = typer.Typer(help="The model store: what was trained, and what is known about each.", no_args_is_help=True)
console = Console()

ModelName = Annotated[
    str, typer.Argument(help="USE_CASE:VERSION, a version alone, or USE_CASE:champion for what is live.")
]
CHAMPION = "champion"


@app.command("list")
def list_models(use_case: Annotated[str | None, typer.Argument(help="Only this use case.")] = None) -> None:
    """Every stored model, newest first: its state, its quality, its data."""
    if use_case:
        use_cases.get(use_case)
    found = [card for name in ([use_case] if use_case else use_cases.names()) for card in reversed(_cards(name))]
    for card in found:
        metric = PRIMARY[card.kind]
        quality = card.metrics[metric]
        console.print(
            f"{card.use_case}:[bold]{card.version}[/]  {state_of(card)}  {metric} {quality.value:.4f} "
            f"({quality.low:.3f} to {quality.high:.3f})  {card.candidate}, {card.training_rows:,} rows until "
            f"{card.trained_until:%Y-%m-%d}",
            highlight=False,
            soft_wrap=True,
        )
    hint = "Everything about one: esteira models show MODEL" if found else "There is no model yet: esteira train …"
    console.print(f"[dim]{hint}[/]")


@app.command("show")
def show_model(
    model: ModelName, json: Annotated[bool, typer.Option("--json", help="The whole card as JSON.")] = False
) -> None:
    """What is known of one model."""
    card = card_of(model)
    if json:
        console.print_json(card.model_dump_json())
        return
    table = Table.grid(padding=(0, 2))
    for label, value in (
        ("model", f"[bold]{card.use_case}:{card.version}[/]"),
        ("state", state_of(card)),
        ("purpose", escape(card.purpose)),
        ("owner", escape(card.owner)),
        ("candidate", f"{card.candidate} {escape(str(dict(card.parameters)))}"),
        ("parameters", escape(card.parameters_source)),
        ("selection", escape("\n".join(card.selection))),
        ("features", f"{len(card.columns)} of {card.feature_service}"),
        ("trained on", f"{card.training_rows:,} rows, {card.trained_from:%Y-%m-%d} to {card.trained_until:%Y-%m-%d}"),
        ("judged on", f"{card.holdout_from:%Y-%m-%d} to {card.holdout_until:%Y-%m-%d}"),
        *((name, f"{each.value:.4f} ({each.low:.4f} to {each.high:.4f})") for name, each in card.metrics.items()),
        ("size and speed", f"{card.size_bytes / 1e6:.2f} MB, {card.one_row_ms:.2f} ms a row"),
        ("code", card.code_commit),
        ("run", card.run_id),
    ):
        table.add_row(f"[dim]{label}[/]", value)
    console.print(table, highlight=False)


@app.command("card")
def write_card(
    model: ModelName,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write Markdown and HTML into this folder.")] = None,
) -> None:
    """A model's card as a page: Markdown on the terminal, or Markdown, HTML and plots in a folder."""
    from esteira.cli import card_page

    subject = _subject(card_of(model))
    if out is None:
        console.print(card_page.markdown(subject), markup=False, highlight=False, soft_wrap=True)
        return
    out.mkdir(parents=True, exist_ok=True)
    name = subject.title.replace(":", "-")
    pages = {f"{name}.md": card_page.markdown(subject).encode(), f"{name}.html": card_page.html(subject).encode()}
    for file, content in {**subject.plots, **pages}.items():
        (out / file).write_bytes(content)
    console.print(f"{subject.title}: [bold]{out / name}.html[/], and as Markdown beside it.")


@app.command("export")
def export_model(
    model: ModelName,
    form: Annotated[str, typer.Option("--format", help="onnx or xgb-json.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder in which one is made for the copy.")],
) -> None:
    """Write a portable copy that answers as the model does, for places where Esteira is not."""
    from esteira.stores.model_store import models, portable

    card = card_of(model)
    written = portable.export(models.load(card.use_case, card.version), portable.known_form(form), out)
    console.print(f"{card.use_case}:{card.version} is in [bold]{written}[/]; its README.md says how to ask it.")


def card_of(model: str) -> ModelCard:
    """The verified card of the model a person named. Raises UnknownName when there is none, or more than one."""
    from esteira.stores.model_store import models
    from esteira.stores.releases import ledger

    use_case, _, version = model.rpartition(":")
    if use_case:
        name = use_cases.get(use_case).name
        if version == CHAMPION:
            version = ledger.live(name).model_version
        return models.load(name, version).card
    holders = [name for name in use_cases.names() if version in models.versions(name)]
    if len(holders) != 1:
        known = [models.tag(card) for name in use_cases.names() for card in _cards(name)]
        raise UnknownName.among("model", model, known, "esteira models list shows them.")
    return models.load(holders[0], version).card


def state_of(card: ModelCard) -> str:
    """Whether a model is live, was, was refused, or waits to be judged."""
    from esteira.stores.model_store import verdicts
    from esteira.stores.model_store.verdicts import GATE
    from esteira.stores.releases import ledger

    releases = [each for each in ledger.releases(card.use_case) if each.model_version == card.version]
    if releases and ledger.live(card.use_case).model_version == card.version:
        return f"[bold green]live[/], release {releases[0].id}"
    if releases:
        return f"was release {', '.join(str(each.id) for each in reversed(releases))}"
    judged = [verdict for subject, _, verdict in verdicts.recorded(card.use_case, GATE) if subject == card.version]
    if not judged:
        return "not judged yet"
    return "passed, not released" if judged[-1]["passed"] else "refused"


def _subject(card: ModelCard) -> "Subject":
    from esteira.cli.card_page import Subject
    from esteira.monitoring.profile import read_profile
    from esteira.stores.model_store import models, verdicts
    from esteira.stores.releases import ledger
    from esteira.training.verdict import Verdict

    attached = models.load(card.use_case, card.version).attachments
    judged = verdicts.recorded(card.use_case, verdicts.GATE)
    return Subject(
        card=card,
        verdicts=[Verdict.model_validate(each) for subject, _, each in judged if subject == card.version],
        releases=[each for each in ledger.releases(card.use_case) if each.model_version == card.version],
        reference=read_profile(attached[REFERENCE]),
        plots={name: content for name, content in attached.items() if name.endswith(".png")},
    )


def _cards(use_case: str) -> list[ModelCard]:
    from esteira.stores.model_store import models

    return models.cards(use_case)


@app.command("search")
def search_models(words: Annotated[list[str], typer.Argument(help="All of them must occur.")]) -> None:
    """Models whose use case, purpose, owner, limits, features or candidate hold every word."""
    wanted = [word.casefold() for word in words]
    found = [
        card
        for name in use_cases.names()
        for card in reversed(_cards(name))
        if all(word in _searched(card) for word in wanted)
    ]
    for card in found:
        console.print(
            f"{card.use_case}:[bold]{card.version}[/]  {state_of(card)}  owner {escape(card.owner)}\n"
            f"  [dim]{escape(card.purpose)}[/]",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"[dim]{len(found)} models. Everything about one: esteira models show MODEL[/]")


@app.command("resolve")
def resolve_model(
    use_case: Annotated[str, typer.Argument(help="A use case, such as flight_delay.")],
    rule: Annotated[str, typer.Argument(help="champion, latest-blessed, or version=V.")],
) -> None:
    """One model by a rule: what is live, the newest that passed every check, or the one named."""
    from esteira.stores.releases.resolving import resolve

    name = use_cases.get(use_case).name
    card = resolve(name, rule)
    console.print(f"{name}:[bold]{card.version}[/]  {rule}: {state_of(card)}", highlight=False, soft_wrap=True)


def _searched(card: ModelCard) -> str:
    columns = (text for column in card.columns for text in (column.name, column.view))
    about = (card.use_case, card.version, card.purpose, card.owner, card.candidate, *card.limits)
    return " ".join((*about, *columns)).casefold()
