"""``esteira doctor``: what is not as it should be on this home, and its repair."""

from typing import Annotated

import typer
from rich.console import Console

from esteira import use_cases
from esteira.errors import EsteiraError

console = Console()


def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Write what differs from the ledger again from it.")] = False,
) -> None:
    """Look for copies that differ from the ledger; with --repair write them again. Fails while anything is left."""
    found = _differences()
    for sentence in found:
        console.print(f"[yellow]differs[/]  {sentence}", highlight=False, soft_wrap=True)
    if found and repair:
        from esteira.stores.releases import copies, ledger

        for name in use_cases.names():
            if ledger.is_released(name):
                copies.rewrite(name)
        left = _differences()
        for sentence in left:
            console.print(f"[red]remains[/]  {sentence}", highlight=False, soft_wrap=True)
        console.print(f"{len(found) - len(left)} of {len(found)} repaired.")
        found = left
    if found:
        raise EsteiraError(f"{len(found)} findings. " + ("" if repair else "Repair them: esteira doctor --repair"))
    console.print("[green]All is well:[/] MLflow and the bentos say what the ledger says.")


def _differences() -> list[str]:
    from esteira.stores.releases import copies

    return [sentence for name in use_cases.names() for sentence in copies.differences(name)]
