"""``esteira keys``: who may ask the services."""

from typing import Annotated

import typer
from rich.console import Console

from esteira.settings import settings

app = typer.Typer(help="The keys that open services: make, list, revoke.", no_args_is_help=True)
console = Console()


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[list[str], typer.Option(help="predict, outcomes or admin; give it several times for several.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the audit log.")],
    rate: Annotated[
        float | None, typer.Option(help="Requests a second, in each process of a service; default: the service's.")
    ] = None,
) -> None:
    """Make a key and show it this one time; services know it within a second."""
    from esteira.stores import keys

    made = keys.create(name, scope, requests_per_second=rate, actor=settings().actor, reason=reason)
    typer.echo(made)
    Console(stderr=True).print("Keep it now: it cannot be shown again. Send it as 'Authorization: Bearer <key>'.")


@app.command("list")
def list_keys() -> None:
    """Every key by id, never its secret."""
    from esteira.stores import keys

    for key, created, revoked in keys.listed():
        state = f"revoked {revoked:%Y-%m-%d %H:%M}" if revoked else "valid"
        console.print(
            f"{key.id}  {key.name}  {' '.join(sorted(key.scopes))}  made {created:%Y-%m-%d %H:%M}  {state}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The id of the key; see: esteira keys list.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the audit log.")],
) -> None:
    """Let a key open nothing any more; services follow within a second."""
    from esteira.stores import keys

    keys.revoke(key, actor=settings().actor, reason=reason)
    console.print(f"Key {key} is revoked.", highlight=False)
