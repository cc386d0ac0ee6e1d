"""The demo: the whole belt on the real flights of 2013, from an empty home to a second release."""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from esteira.cli import servers
from esteira.errors import EsteiraError
from esteira.settings import prepare_environment, settings
from esteira.stores import processes


def run_demo(console: Console) -> None:
    """Run the demo from an empty home and leave its state there, so that it can be looked at afterwards.

    Raises EsteiraError when the home holds what no demo made, or releases would go to a ledger outside it.
    """
    started = time.perf_counter()
    _empty_home()
    console.print(Panel.fit("[bold]Esteira[/]: data → features → model → predictions → outcomes → model", style="cyan"))
    command, api = servers.prefect_server(processes.free_port(settings().prefect_port))
    prepare_environment(
        PREFECT_API_URL=api, PREFECT_LOGGING_LEVEL="ERROR", PREFECT_LOGGING_TO_API_ENABLED="false", ESTEIRA_CLOCK="belt"
    )
    settings.cache_clear()
    with ExitStack() as stack:
        with console.status("[cyan]Start a Prefect server …"):
            # The demo moves the belt itself: a schedule that falls into these minutes would hold up its only worker.
            server = processes.running(
                "prefect-server", command, ready_url=f"{api}/health", PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false"
            )
            stack.enter_context(server)
            from esteira.cli.demo_acts import USE_CASE, Belt
            from esteira.cli.report import summarise, write_report
        belt = Belt(console, stack)
        belt.run()
    report = write_report(USE_CASE, belt.story)
    console.print(summarise(USE_CASE, belt.story))
    _tell_where(console, report, time.perf_counter() - started)


def _empty_home() -> None:
    home = settings().home
    made_here = home / "made-by-demo"
    outside = [name for name in ("ledger_url", "tracking_url") if getattr(settings(), name) is not None]
    if outside:
        raise EsteiraError(
            f"The demo keeps everything in its home, but {', '.join(outside)} name a database elsewhere. "
            "Unset ESTEIRA_LEDGER_URL and ESTEIRA_TRACKING_URL for it."
        )
    if home.exists() and any(home.iterdir()) and not made_here.exists():
        raise EsteiraError(
            f"{home} holds state that no demo made, and the demo starts from nothing. Choose another ESTEIRA_HOME, or "
            "forget that state with make clean."
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    made_here.touch()


def _tell_where(console: Console, report: Path, seconds: float) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_row("Report", f"[bold]{report}[/]  (open it in a browser)")
    table.add_row("Flows, events, runs", "[bold]make ui[/]  starts Prefect's and MLflow's pages on this machine")
    table.add_row("Ask it yourself", "[bold]make serve[/]  then see README.md for a request")
    table.add_row("Ledger", "[bold].venv/bin/esteira releases list[/]")
    console.print(table)
    console.print(f"[dim]{seconds:.0f} s in all. State is in {settings().home}; make clean forgets it.[/]")
