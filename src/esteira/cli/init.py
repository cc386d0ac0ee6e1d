"""``esteira init``: a use case to begin with, from a file of records, in the five places a use case touches."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from esteira.errors import InputError

console = Console()


def init(
    name: Annotated[str, typer.Argument(help="What the new use case is called, such as hourly_wind.")],
    source: Annotated[Path | None, typer.Option(help="A CSV or Parquet file of records.")] = None,
    entity_key: Annotated[str | None, typer.Option(help="The column that says whose a row is.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="The column that says when a row was true and known.")] = None,
    label: Annotated[str | None, typer.Option(help="The column to be predicted.")] = None,
    kind: Annotated[str | None, typer.Option(help="binary (yes or no) or regression (a number).")] = None,
    ahead: Annotated[
        str | None,
        typer.Option(help="Predict the entity's row that comes so much later, e.g. 3h; by default the next."),
    ] = None,
    label_after: Annotated[
        str | None, typer.Option(help="Or predict the row's own label, known so much later than the row, e.g. 30d.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="Binary: the label that means yes, where that is not plain.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "me@example.com",
    zone: Annotated[str, typer.Option(help="The time zone of moments that are written without one.")] = "UTC",
    batch_only: Annotated[
        bool, typer.Option("--batch-only", help="Without a service: predictions are made ahead.")
    ] = False,
) -> None:
    """Write a new use case from a file of records: working code to begin with, which you then make your own."""
    from esteira.scaffold.durations import duration
    from esteira.scaffold.plan import plan
    from esteira.scaffold.planned import Wanted
    from esteira.scaffold.writing import require_free, write

    require_free(name)
    answers = {
        "source": _asked(source, "--source", "File of records (CSV or Parquet)"),
        "entity_key": _asked(entity_key, "--entity-key", "Column that says whose a row is"),
        "timestamp": _asked(timestamp, "--timestamp", "Column that says when a row was true"),
        "label": _asked(label, "--label", "Column to be predicted"),
        "kind": _asked(kind, "--kind", "binary or regression"),
    }
    if answers["kind"] not in ("binary", "regression"):
        raise InputError(f"Unknown kind {answers['kind']!r}. Expected binary (yes or no) or regression (a number).")
    wanted = Wanted(
        name=name,
        **{**answers, "source": Path(answers["source"]).expanduser().resolve()},  # type: ignore[arg-type]
        ahead=duration(ahead) if ahead else None,
        label_after=duration(label_after) if label_after else None,
        positive=positive,
        without=tuple(without or ()),
        owner=owner,
        zone=zone,
        is_served=not batch_only,
    )
    decided = plan(wanted)
    written = write(decided)
    said = [*(f"new    {path}" for path in written.made), *(f"added  {path}" for path in written.added_to)]
    said += [f"No feature: {column} is {why}." for column, why in decided.left_out.items()]
    said += [
        f"Read src/esteira/use_cases/{name}/schema.json: what records must look like, judged by what this file holds.",
        f"Next: esteira check {name}",
    ]
    console.print("\n".join(said), highlight=False, soft_wrap=True, markup=False)


def _asked(given: object, flag: str, prompt: str) -> str:
    if given is not None:
        return str(given)
    if not sys.stdin.isatty():
        raise InputError(f"{flag} is missing. {prompt}: say it, or run this on a terminal to be asked.")
    return str(typer.prompt(prompt))
