"""The command ``esteira``: the belt's verbs for a terminal."""

import signal
import sys
import time
from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from esteira import use_cases
from esteira.cli import (
    alerts,
    approvals,
    data,
    features,
    keys,
    models,
    outcomes,
    predictions,
    releases,
    runs,
    train,
    verdicts,
)
from esteira.cli.audit import audit
from esteira.cli.challengers import ab, traffic
from esteira.cli.check import check
from esteira.cli.doctor import doctor
from esteira.cli.init import init
from esteira.cli.lineage import lineage, trace
from esteira.cli.reproduce import reproduce
from esteira.cli.status import status
from esteira.cli.worth import worth
from esteira.contract import utc
from esteira.errors import EsteiraError, FeatureError, InputError
from esteira.settings import prepare_environment, settings

app = typer.Typer(
    help="The belt that keeps models alive: data to features to training to serving to outcomes, and back.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(releases.app, name="releases")
app.command()(releases.rollback)
app.command("infra-check")(releases.infra_check)
app.command()(approvals.approve)
app.command("approvals")(approvals.list_approvals)
app.command()(doctor)
app.add_typer(features.app, name="features")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
features.app.command("worth")(worth)
app.add_typer(runs.app, name="runs")
app.add_typer(predictions.app, name="predictions")
app.add_typer(keys.app, name="keys")
app.add_typer(verdicts.app, name="verdicts")
app.add_typer(alerts.app, name="alerts")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(ab, name="ab")
app.command()(audit)
app.command()(check)
app.command()(status)
app.command()(traffic)
app.command()(trace)
app.command()(lineage)
app.command()(init)
app.command()(train.train)
app.command()(reproduce)
console = Console()

UseCaseName = Annotated[str, typer.Argument(help="A use case, such as flight_delay.")]


def main() -> None:
    """Run the command; a refusal is one clear message and a non-zero exit code, never a traceback."""
    prepare_environment()
    # Ended from outside, Python would leave the servers it started behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except EsteiraError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: {error}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, InputError) else 1)


@app.command()
def demo() -> None:
    """Run the whole belt on the real flights of 2013 and show what it did."""
    from esteira.cli.demo import run_demo

    run_demo(console)


@app.command()
def flow(
    name: Annotated[str, typer.Argument(help="ingest, train, validate, precompute or monitor.")],
    use_case: UseCaseName,
    as_of: Annotated[str, typer.Option(help="The moment the run stands for, e.g. 2013-04-01 or 2013-04-01T18:00:00Z.")],
    json: Annotated[bool, typer.Option("--json", help="Print the run's whole record.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="As ordinary Python: no server, no retries, nothing on Prefect's pages.")
    ] = False,
) -> None:
    """Run one flow for a use case as of a moment."""
    from esteira.cli import belt

    use_cases.get(use_case)
    moment = utc(as_of)
    belt.use_running_server()
    with console.status(f"[cyan]{name} {use_case} as of {moment:%Y-%m-%d %H:%M} UTC …"):
        record = belt.run(name, use_case, moment, plain=plain)
    if json:
        console.print_json(record.model_dump_json())
    else:
        console.print("\n".join(belt.told(record)), highlight=False, soft_wrap=True, markup=False)
    belt.require_passed(record)


@app.command()
def skew(
    use_case: UseCaseName,
    as_of: Annotated[str, typer.Option(help="Audit the window that ends at this moment, e.g. 2013-04-01T18:00:00Z.")],
) -> None:
    """Compare the features served with those the offline path gives; fails when one differs without explanation."""
    from flows.steps.monitoring import collect_predictions
    from flows.steps.parity import audit_skew

    declared, moment = use_cases.get(use_case), utc(as_of)
    collect_predictions.fn(declared.name)
    found = audit_skew.fn(declared.name, moment)
    if found.counts:
        table = Table("cause", "column", "differing values")
        for cause, columns in found.counts.items():
            for column, count in columns.items():
                table.add_row(cause, column, f"{count:,}")
        console.print(table)
    console.print(
        f"{found.headline}, {found.rows:,} predictions.", *found.sentences, sep="\n", markup=False, highlight=False
    )
    if found.unexplained:
        raise FeatureError(
            f"Serving and training see different features: {found.headline} until {moment.isoformat()}. Expected none. "
            "Mend the cause named above; the gate releases nothing while the share is above its limit (mismatch)."
        )


@app.command()
def serve(
    use_case: UseCaseName, port: Annotated[int | None, typer.Option(help="Default: ESTEIRA_SERVICE_PORT.")] = None
) -> None:
    """Serve the live release over HTTP, from its bento, and follow the ledger until interrupted."""
    from esteira.cli.service import service_running
    from esteira.stores.releases import ledger

    release = ledger.live(use_cases.get(use_case).name)
    with service_running(release, port or settings().service_port) as url:
        console.print(f"Release {release.id} ({release.model_version}) is served at [bold]{url}[/]; Ctrl-C ends it.")
        _sleep_until_interrupted()


@app.command()
def ui() -> None:
    """Show the web pages of Prefect (flows, events) and MLflow (runs, models) until interrupted."""
    from esteira.cli import servers
    from esteira.stores import processes

    prefect, prefect_url = servers.prefect_server(processes.free_port(settings().prefect_port))
    mlflow, mlflow_url = servers.mlflow_server(processes.free_port(settings().mlflow_port))
    with ExitStack() as stack:
        stack.enter_context(processes.running("prefect-server", prefect, ready_url=f"{prefect_url}/health"))
        stack.enter_context(processes.running("mlflow", mlflow, ready_url=f"{mlflow_url}/health"))
        console.print(f"Prefect  [bold]{prefect_url.removesuffix('/api')}[/]\nMLflow   [bold]{mlflow_url}[/]")
        console.print(f"Reports  [bold]{settings().reports_path}[/]\nCtrl-C ends them.")
        _sleep_until_interrupted()


def _sleep_until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Stopped.")
