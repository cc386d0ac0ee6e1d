"""``esteira trace`` and ``esteira lineage``: what is behind a prediction, and what came of data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from esteira import use_cases

if TYPE_CHECKING:
    from esteira.stewardship.lineage import Thing

console = Console()
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Draw it into this file, too, as a Mermaid flowchart.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def trace(
    prediction_id: Annotated[str, typer.Argument(help="As the answer named it.")], out: Out = None, json: AsJson = False
) -> None:
    """What a prediction was made of: request, features, release, model, data, code, people. Masked as needed."""
    from esteira.errors import UnknownName
    from esteira.stores import lineage
    from esteira.stores.answers import predictions

    try:
        found = lineage.trace(prediction_id)
    except UnknownName:  # it may not be collected yet
        for name in use_cases.names():
            predictions.collect(name)
        found = lineage.trace(prediction_id)
    _show(found, out, json=json)


def lineage(
    name: Annotated[
        str, typer.Argument(help="data:TABLE@VERSION, model:USE_CASE:VERSION, release:USE_CASE/NUMBER, prediction:ID")
    ],
    out: Out = None,
    json: AsJson = False,
) -> None:
    """What came of a version of data, or what a model or release is made of and what it answered."""
    from esteira.stores import lineage as store

    _show(store.find(name), out, json=json)


def _show(thing: "Thing", out: Path | None, *, json: bool) -> None:
    if out is not None:
        from esteira.stewardship.lineage import mermaid

        out.write_text(mermaid(thing) + "\n")
    if json:
        console.print_json(thing.model_dump_json())
    else:
        console.print(_tree(thing), highlight=False, soft_wrap=True)


def _tree(thing: "Thing") -> Tree:
    told = [f"[dim]{escape(label)}[/] {escape(value)}" if label else escape(value) for label, value in thing.facts]
    branch = Tree("\n".join([f"[bold]{escape(thing.name)}[/]", *told]))
    for each in thing.parts:
        branch.children.append(_tree(each))
    return branch
