"""``esteira releases``: the ledger, rollback, and the check of a service before its release."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import ReleaseError
from esteira.settings import settings

app = typer.Typer(help="The ledger: what is live, what was, and why.", no_args_is_help=True)
console = Console()

ModelName = Annotated[
    str, typer.Argument(help="USE_CASE:VERSION, a version alone, or USE_CASE:champion for what is live.")
]
UseCaseName = Annotated[str, typer.Argument(help="A use case, such as flight_delay.")]


def rollback(
    use_case: UseCaseName,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger.")],
    to: Annotated[
        int | None, typer.Option(help="The release to restore; by default the one before the live one.")
    ] = None,
    actor: Annotated[str, typer.Option(help="Who decided it.")] = "operator",
) -> None:
    """Restore an earlier release whole; running services follow at once."""
    from esteira.stores import clock
    from esteira.stores.releases import copies, ledger, restoring

    declared = use_cases.get(use_case)
    live = ledger.live(declared.name)
    # The ledger tells the belt's time: in a replay the wall clock would be years ahead of every later release.
    at = clock.horizon(declared)
    restored = restoring.roll_back(declared.name, undoes=live.id, to=to, actor=actor, reason=reason, at=at)
    copies.rewrite(declared.name)
    console.print(f"Release {restored.id} is live: {restored.model_version}. {restored.reason}", soft_wrap=True)
    console.print(
        "Its cached predictions are those it had when it was last live. Renew them: "
        f"make flow FLOW=precompute USE_CASE={declared.name} AS_OF={at:%Y-%m-%dT%H:%M:%SZ}",
        soft_wrap=True,
        highlight=False,
    )


@app.command("list")
def list_releases(use_case: Annotated[str | None, typer.Argument(help="Only this use case.")] = None) -> None:
    """All releases, newest first."""
    from esteira.stores.releases import ledger

    listed = ledger.releases(use_case and use_cases.get(use_case).name)
    live: set[str] = set()
    for each in listed:
        mark = "    " if each.use_case in live else "[bold green]live[/]"
        live.add(each.use_case)
        console.print(
            f"{each.id:>4} {mark} {each.use_case}  {each.model_version}  since {each.released_at:%Y-%m-%d %H:%M}  "
            f"by {each.actor}: {escape(each.reason.split('. ')[0])}",
            highlight=False,
            soft_wrap=True,
        )
    hint = "Everything about one: esteira releases show USE_CASE RELEASE" if listed else "There is no release yet."
    console.print(f"[dim]{hint}[/]")


@app.command("show")
def show_release(use_case: UseCaseName, release: int) -> None:
    """One release with its evidence."""
    from esteira.stores.releases import ledger

    console.print_json(ledger.release(use_cases.get(use_case).name, release).model_dump_json())


@app.command("at")
def release_at(use_case: UseCaseName, moment: str) -> None:
    """The release that was live at a moment of the belt's time."""
    from esteira.stores.releases import ledger

    console.print_json(ledger.live_at(use_cases.get(use_case).name, utc(moment)).model_dump_json())


@app.command("golden")
def record_golden(
    use_case: UseCaseName,
    reason: Annotated[str | None, typer.Option(help="Record new ones, and why; without it they are shown.")] = None,
) -> None:
    """The golden requests every release must answer: show them, or record new ones from what was served."""
    from esteira.stores import clock
    from esteira.stores.releases import golden_sets

    declared = use_cases.get(use_case)
    if reason is None:
        golden = golden_sets.read(declared.name)
    else:
        at = clock.horizon(declared)
        golden = golden_sets.record(declared, at, actor=settings().actor, reason=reason)
    console.print(
        f"{golden.rows} golden requests of {golden.use_case}, from {golden.source}. Owner: {golden.owner}. "
        f"SHA-256: {golden.sha256}",
        highlight=False,
        soft_wrap=True,
    )


@app.command("compare")
def compare_releases(use_case: UseCaseName, one: int, other: int) -> None:
    """Two releases side by side on the same golden requests."""
    from rich.table import Table

    from esteira.stores.releases import golden_sets

    name = use_cases.get(use_case).name
    golden, said = golden_sets.compared(name, one, other)
    table = Table("golden request", f"release {one}", f"release {other}", "difference")
    for place, (first, second) in enumerate(said):
        apart = f"{second - first:+.4f}" if first is not None and second is not None else ""
        table.add_row(str(place), *("withheld" if x is None else f"{x:.4f}" for x in (first, second)), apart)
    console.print(table)
    both = [second - first for first, second in said if first is not None and second is not None]
    most, mean = max(map(abs, both), default=0.0), sum(both) / max(1, len(both))
    console.print(
        f"On {len(said)} golden requests (SHA-256 {golden.sha256[:12]}, {golden.source}) {sum(map(bool, both))} "
        f"answers differ, by {most:.4f} at most and {mean:+.4f} on average.",
        highlight=False,
        soft_wrap=True,
    )


def infra_check(model: ModelName) -> None:
    """Start a model's service from its bento, ask it golden requests, and judge it; nothing is released."""
    from esteira.cli.models import card_of
    from esteira.stores.model_store import models
    from esteira.stores.releases import bentos, golden_sets, ledger
    from esteira.stores.releases.service_check import judge_bento

    card = card_of(model)
    declared = use_cases.get(card.use_case)
    if not declared.is_served:
        raise ReleaseError(f"Use case {declared.name!r} has no service to check: its predictions are only made ahead.")
    stored = models.load(card.use_case, card.version)
    proposal = ledger.Proposal.of(stored, follows=0, actor=settings().actor, reason="An infra check.", at=card.as_of)
    golden = golden_sets.fitted_to(golden_sets.for_release(declared, stored, card.as_of), card.columns)
    with console.status(f"[cyan]Asking the service of {card.version} {golden.rows} golden requests …"):
        judged = judge_bento(declared, bentos.build(declared.name, proposal), stored, proposal, golden)
    for sentence in judged.verdict.sentences:
        console.print(escape(sentence), highlight=False, soft_wrap=True)
    if not judged.verdict.passed:
        raise ReleaseError(f"The service of model {card.version!r} would not be released.")
