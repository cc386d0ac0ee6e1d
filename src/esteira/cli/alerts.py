"""``esteira alerts``: what a person must look at, and that somebody did."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from esteira import use_cases
from esteira.errors import AlertError

app = typer.Typer(help="Alerts: what a person must look at, with its evidence.", no_args_is_help=True)
console = Console()


@app.command("list")
def list_alerts(
    use_case: Annotated[str | None, typer.Argument(help="Only this use case.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Acknowledged ones too.")] = False,
) -> None:
    """Open alerts, newest first; each with the command that shows its evidence."""
    from esteira.stores.monitoring import alerts

    listed = alerts.alerts(use_case=use_case and use_cases.get(use_case).name, only_open=not everything)
    for each in listed:
        colour = "red" if each.severity == "critical" else "yellow"
        console.print(
            f"{each.id:>4} [bold {colour}]{each.severity}[/] {each.opened_at:%Y-%m-%d %H:%M} {each.use_case} "
            f"{escape(each.subject)} for {escape(each.owner)}\n     {escape(each.sentence)}\n     evidence: "
            f"[bold]{escape(each.link)}[/]",
            highlight=False,
            soft_wrap=True,
        )
        if each.acknowledged_by is not None:
            console.print(
                f"     [dim]acknowledged by {escape(each.acknowledged_by)} at {each.acknowledged_at:%Y-%m-%d %H:%M}: "
                f"{escape(each.note or '')}[/]",
                highlight=False,
                soft_wrap=True,
            )
    for sink, waiting in alerts.undelivered().items():
        console.print(
            f"[yellow]{len(waiting)} wait to be taken by: {sink}[/] (esteira alerts deliver)", highlight=False
        )
    if not listed:
        console.print("[dim]There is no alert.[/]" if everything else "[dim]No alert is open.[/]")


@app.command("deliver")
def deliver() -> None:
    """Bring alerts that wait to every sink that is set; the monitor does so at each run."""
    from esteira.stores.monitoring import alerts

    taken = alerts.deliver()
    waiting = alerts.undelivered()
    console.print(f"{taken} message{'s were' if taken != 1 else ' was'} taken.")
    if waiting:
        raise AlertError(
            "Alerts still wait for " + ", ".join(f"{name} ({len(each)})" for name, each in waiting.items()) + ". "
            "The log says why; in a storm they go out with the next hour's message."
        )


@app.command("ack")
def acknowledge(
    alert: Annotated[int, typer.Argument(help="Its number.")],
    note: Annotated[str, typer.Option(help="What came of it.")],
    by: Annotated[str, typer.Option(help="Who has seen to it.")] = "operator",
) -> None:
    """Note that somebody has seen to an alert."""
    from esteira.stores.monitoring import alerts

    closed = alerts.acknowledge(alert, by=by, note=note)
    console.print(f"Alert {closed.id} is acknowledged by {closed.acknowledged_by}.", markup=False)
