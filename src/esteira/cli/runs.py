"""``esteira runs``: what was trained, with what, how good it was, and where two runs differ."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from esteira import use_cases
from esteira.training.runs import DETAILS, Run, differences

app = typer.Typer(help="The record of training runs, failed ones too.", no_args_is_help=True)
console = Console()

RunName = Annotated[str, typer.Argument(help="A run's id, or the model version it came to.")]
UseCaseName = Annotated[str | None, typer.Argument(help="Only this use case.")]
Details = Annotated[bool, typer.Option("--details", help="Also metrics by feature and by slice.")]
_SHOWN = {"binary": ("log_loss", "auc"), "regression": ("mae", "rmse")}


@app.command("list")
def list_runs(
    use_case: UseCaseName = None,
    by: Annotated[str | None, typer.Option(help="Best first by this metric, e.g. log_loss; else newest first.")] = None,
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
) -> None:
    """The newest runs, or the best by a metric."""
    from esteira.stores.model_store import runs

    names = [use_cases.get(use_case).name] if use_case else list(use_cases.names())
    found = runs.listed(names, by=by, limit=limit)
    for run in found:
        wanted = dict.fromkeys([*([by] if by else []), *_SHOWN[use_cases.get(run.use_case).kind]])
        figures = [f"{name} {run.metrics[name]:.4f}" for name in wanted if name in run.metrics]
        # What a run is asked for by: the model it came to, or else its id.
        came_to = (
            f"[bold]{run.version}[/]" if run.version else f"{run.run_id} [red]{run.status}[/] {escape(run.failure)}"
        )
        line = [f"{run.started:%Y-%m-%d %H:%M}", run.use_case, came_to, run.parameters.get("candidate", ""), *figures]
        console.print("  ".join(each for each in line if each), highlight=False, soft_wrap=True)
    hint = "Everything about one: esteira runs show RUN" if found else "There is no run yet: esteira train …"
    console.print(f"[dim]{hint}[/]")


@app.command("show")
def show_run(run: RunName, details: Details = False) -> None:
    """All that was recorded of one run."""
    found = _find(run)
    console.print(f"[bold]{found.run_id}[/] {found.use_case} {found.status} {found.started:%Y-%m-%d %H:%M:%S} UTC")
    for title, values in (
        ("parameters", found.parameters),
        ("metrics", {n: f"{v:.6g}" for n, v in found.metrics.items() if details or not n.startswith(DETAILS)}),
        ("facts", found.facts),
    ):
        table = Table.grid(padding=(0, 2))
        for name, value in values.items():
            table.add_row(f"[dim]{escape(name)}[/]", escape(value))
        console.print(f"[bold]{title}[/]", table)


@app.command("compare")
def compare_runs(first: RunName, second: RunName, details: Details = False) -> None:
    """Where two runs differ: parameters, data, code, environment, metrics."""
    before, after = _find(first), _find(second)
    for section, found in differences(before, after, details=details).items():
        if not found:
            console.print(f"[bold]{section}[/]: the same")
            continue
        table = Table(section, before.version or before.run_id[:8], after.version or after.run_id[:8], "change")
        for each in found:
            change = "" if each.change is None else f"{each.change:+.6g}"
            table.add_row(escape(each.name), escape(each.first or "none"), escape(each.second or "none"), change)
        console.print(table)


def _find(name: str) -> Run:
    from esteira.stores.model_store import runs

    return runs.find(use_cases.names(), name)
