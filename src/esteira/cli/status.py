"""``esteira status``: how every use case stands, on one screen."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from esteira import use_cases

if TYPE_CHECKING:
    from esteira.stores.monitoring.status import Status

console = Console()


def status(
    use_case: Annotated[str | None, typer.Argument(help="Only this use case.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
) -> None:
    """What is live and how old, how fresh its data is, what the monitor found, what failed, which alerts are open.

    Ends with code 1 when something is not as it should be.
    """
    from esteira.stores.monitoring.status import look

    found = [look(name) for name in ([use_cases.get(use_case).name] if use_case else use_cases.names())]
    if json:
        typer.echo("[" + ",\n".join(each.model_dump_json(indent=1) for each in found) + "]")
    else:
        for each in found:
            _show(each)
    if any(each.troubles for each in found):
        raise typer.Exit(1)


def _show(found: "Status") -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    if live := found.live:
        table.add_row(
            "live",
            f"release {live.release}, {escape(live.model_version)}, since {_moment(live.released_at)}; its data is "
            f"{_span(found.now - live.model_as_of)} old, {live.age(found.now):.0%} of what is allowed",
        )
    answers = ", ".join(f"{rows:,} {source}" for source, rows in found.answers.items()) or "none"
    table.add_row("answers", f"{answers} (seven days); {found.waiting_bytes:,} bytes of log wait to be collected")
    for each in found.tables:
        behind = "never filled" if each.until is None else f"known until {_moment(each.until)}"
        if each.until is not None and each.online is not None and each.online < each.until:
            behind += f", online until {_moment(each.online)}"
        table.add_row(escape(each.table), behind)
    if seen := found.monitored:
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in seen.figures.items())
        table.add_row("monitor", f"[bold]{seen.action}[/] at {_moment(seen.as_of)}: {escape(seen.sentences[0])}")
        table.add_row("", figures)
    table.add_row("alerts", f"{len(found.alerts)} open" if found.alerts else "none is open")
    for alert in found.alerts[:5]:
        table.add_row("", f"{alert.id} {alert.severity}: {escape(alert.sentence)}")
    console.print(f"[bold]{found.use_case}[/] at {_moment(found.now)} UTC, for {escape(found.owner)}")
    console.print(table)
    for trouble in found.troubles:
        console.print(f"[bold red]![/] {escape(trouble)}", soft_wrap=True)
    console.print()


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _span(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f} days"
