"""The demo: the whole belt on the real flights of 2013, from an empty home to a second release."""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from esteira.cli import servers
from esteira.settings import prepare_environment, settings


def run_demo(console: Console, *, keep: bool) -> None:
    """Run the demo and leave its state in the home directory, so that it can be looked at afterwards."""
    started = time.perf_counter()
    if not keep:
        shutil.rmtree(settings().home, ignore_errors=True)
    console.print(Panel.fit("[bold]Esteira[/]: data → features → model → predictions → outcomes → model", style="cyan"))
    command, api = servers.prefect_server(servers.free_port(settings().prefect_port))
    prepare_environment(
        PREFECT_API_URL=api, PREFECT_LOGGING_LEVEL="ERROR", PREFECT_LOGGING_TO_API_ENABLED="false", ESTEIRA_CLOCK="belt"
    )
    settings.cache_clear()
    with ExitStack() as stack:
        with console.status("[cyan]Start a Prefect server …"):
            stack.enter_context(servers.running("prefect-server", command, ready_url=f"{api}/health"))
            from esteira.cli.demo_acts import USE_CASE, Belt
            from esteira.cli.report import summarise, write_report
        belt = Belt(console, stack)
        belt.run()
    report = write_report(USE_CASE, belt.story)
    console.print(summarise(USE_CASE, belt.story))
    _tell_where(console, report, time.perf_counter() - started)


def _tell_where(console: Console, report: Path, seconds: float) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_row("Report", f"[bold]{report}[/]  (open it in a browser)")
    table.add_row("Flows, events, runs", "[bold]make ui[/]  starts Prefect's and MLflow's pages on this machine")
    table.add_row("Ask it yourself", "[bold]make serve[/]  then see README.md for a request")
    table.add_row("Ledger", "[bold].venv/bin/esteira releases list[/]")
    console.print(table)
    console.print(f"[dim]{seconds:.0f} s in all. State is in {settings().home}; make clean forgets it.[/]")
