"""``esteira check``: is a use case ready for the belt, and what is left to do."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import BrokenLaw
from esteira.settings import prepare_environment, settings


def check(
    use_case: Annotated[str, typer.Argument(help="A use case, such as flight_delay.")],
    as_of: Annotated[
        str | None, typer.Option(help="Run its belt up to this moment; by default the first with enough history.")
    ] = None,
) -> None:
    """Run a use case's belt once, in a home of its own, and say which laws it keeps and what is left to do."""
    declared, console = use_cases.get(use_case), Console()
    moment = utc(as_of) if as_of else None
    with tempfile.TemporaryDirectory(prefix="esteira-check-") as folder:
        _move_to(Path(folder) / "home")
        from esteira.conformance.check import check as findings

        kept = broken = 0
        for found in findings(declared, moment):
            if found.broken is None:
                kept += 1
                console.print(f"[green]✓[/] {escape(found.sentence)}", highlight=False, soft_wrap=True)
            else:
                broken += 1
                console.print(f"[red]✗[/] {escape(found.sentence)}", highlight=False, soft_wrap=True)
                console.print(f"    {escape(found.broken)}", highlight=False, soft_wrap=True)
    if broken:
        raise BrokenLaw(
            f"{use_case} keeps {kept} laws and breaks {broken}. Mend what is listed above, then run it again; laws of "
            "later stages are checked once these are kept."
        )
    console.print(f"[bold]{use_case}[/] keeps all {kept} laws.", highlight=False)


def _move_to(home: Path) -> None:
    home.mkdir()
    prepare_environment(ESTEIRA_HOME=str(home), PREFECT_HOME=str(home / "prefect"), PREFECT_LOGGING_LEVEL="CRITICAL")
    settings.cache_clear()
