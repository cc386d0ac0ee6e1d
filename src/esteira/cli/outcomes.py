"""``esteira outcomes``: bring in what became of predictions."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="What became of predictions: imported here, or reported to a service.", no_args_is_help=True)
console = Console()

UseCaseName = Annotated[str, typer.Argument(help="A use case, such as flight_delay.")]


@app.command("import")
def import_outcomes(
    use_case: UseCaseName,
    place: Annotated[str, typer.Argument(help="A .csv, .parquet or .jsonl file, or a SQLAlchemy URL.")],
    query: Annotated[str | None, typer.Option(help="With a URL: the SELECT that finds the reports.")] = None,
    source: Annotated[str | None, typer.Option(help="Who says so, where a row does not; default: the file.")] = None,
) -> None:
    """Import outcomes by prediction_id or entity_id; the same ones again change nothing, later ones correct."""
    from esteira import use_cases
    from esteira.settings import settings
    from esteira.stewardship.audit_chain import Deed
    from esteira.stores import audit, clock
    from esteira.stores.answers import outcomes
    from esteira.stores.answers.outcome_import import read_reports

    declared = use_cases.get(use_case)
    named = source or ("database" if "://" in place else Path(place).name[:64])
    reports = read_reports(place, query=query, source=named)
    added = outcomes.append(declared, reports, now=clock.now(declared))
    if added:
        deed = Deed(
            actor=settings().actor, action="imported outcomes", subject=f"outcomes:{declared.name}",
            reason=f"reported by {named}", details={"reports": added},
        )  # fmt: skip
        audit.record(deed)
    console.print(f"{added:,} new of {len(reports):,} reports.", highlight=False)
    _tell(declared.name)


@app.command()
def status(use_case: UseCaseName) -> None:
    """Count the reports by what became of them, as far as services were told until now."""
    from esteira import use_cases
    from esteira.stores.answers import outcomes

    declared = use_cases.get(use_case)
    outcomes.collect(declared.name)
    _tell(declared.name)


def _tell(use_case: str) -> None:
    from esteira.stores.answers import outcomes

    counts = outcomes.read_settled(use_case)["status"].value_counts(sort=True)
    for name, count in counts.iter_rows():
        console.print(f"{count:>10,}  {name}", highlight=False)
