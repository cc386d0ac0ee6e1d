"""``esteira verdicts``: what the gate decided about every challenger, and on what evidence."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from esteira import use_cases
from esteira.errors import UnknownName

app = typer.Typer(help="The gate's verdicts, kept whole.", no_args_is_help=True)
console = Console()

UseCaseName = Annotated[str, typer.Argument(help="A use case, such as flight_delay.")]


@app.command("list")
def list_verdicts(use_case: UseCaseName) -> None:
    """All verdicts of the gate, oldest first, a line each."""
    from esteira.stores.model_store import verdicts
    from esteira.stores.model_store.verdicts import GATE

    for subject, as_of, verdict in verdicts.recorded(use_cases.get(use_case).name, GATE):
        colour = "green" if verdict["passed"] else "red"
        console.print(
            f"[{colour}]{'passed ' if verdict['passed'] else 'refused'}[/] {escape(subject)} as of "
            f"{as_of:%Y-%m-%d %H:%M}: {escape(verdict['sentences'][0])}",
            highlight=False,
            soft_wrap=True,
        )


@app.command("show")
def show_verdict(
    use_case: UseCaseName,
    model: Annotated[str, typer.Argument(help="A model's version.")],
    json: Annotated[bool, typer.Option("--json", help="Print the newest verdict whole.")] = False,
) -> None:
    """The newest verdict about a model: every check, every slice and group, and the data the model is from."""
    from esteira.stores.model_store import models, verdicts
    from esteira.stores.model_store.verdicts import GATE

    kept = verdicts.recorded(use_cases.get(use_case).name, GATE)
    about = [(as_of, verdict) for subject, as_of, verdict in kept if subject == model]
    if not about:
        judged = sorted({subject for subject, _, _ in kept})
        raise UnknownName.among("judged model", model, judged, f"List them: esteira verdicts list {use_case}")
    as_of, verdict = about[-1]
    if json:
        console.print_json(data=verdict)
        return
    console.print(f"[bold]{escape(model)}[/] as of {as_of:%Y-%m-%d %H:%M} UTC", highlight=False)
    for sentence in verdict["sentences"]:
        console.print(escape(sentence), highlight=False, soft_wrap=True)
    table = Table("guardrail", "rows", "figure", "95 %", "limit", "p", "broken")
    for each in verdict["guardrails"]:
        figure = each["figure"]
        table.add_row(
            each["name"],
            f"{each['rows']:,}",
            f"{figure['value']:+.4f}" if figure else "too small",
            f"{figure['low']:+.4f} … {figure['high']:+.4f}" if figure else "",
            f"{each['limit']:g}",
            f"{each['p_value']:.3f}" if figure else "",
            "[red]yes[/]" if each["is_broken"] else "",
        )
    console.print(table)
    card = models.load(use_case, model).card
    versions = ", ".join(f"{name} {version}" for name, version in sorted(card.data_versions.items()))
    console.print(f"Its data, table and version: {versions}.", highlight=False, soft_wrap=True)
    console.print(f"Its tracking run: {card.run_id}.", highlight=False, soft_wrap=True)
