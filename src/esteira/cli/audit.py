"""``esteira audit``: who did what, when and why; and whether the log is as it was written."""

from typing import Annotated

import typer
from rich.console import Console

from esteira.contract import utc

console = Console()


def audit(
    subject: Annotated[str | None, typer.Option(help="Only entries whose subject contains this.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this person or flow did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this: released, forgot, held, read restricted, …")] = None,
    since: Annotated[str | None, typer.Option(help="Only what was recorded since, e.g. 2026-11-01.")] = None,
    newest: Annotated[int, typer.Option(help="At most so many of the newest.", min=1)] = 50,
    verify: Annotated[bool, typer.Option("--verify", help="Check the whole log and print its head.")] = False,
    head: Annotated[str | None, typer.Option(help="With --verify: a head you kept, which must be in the log.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print whole entries, one JSON object a line.")] = False,
) -> None:
    """Show the audit log, newest last, or prove that nobody edited it."""
    from esteira.stewardship.audit_chain import Head
    from esteira.stores import audit as log

    if verify or head is not None:
        found = log.verify(None if head is None else Head.parse(head))
        console.print(f"{found.count} entries, each as it was written. The head to keep elsewhere:\n{found}")
        return
    wanted = {"subject": subject, "actor": actor, "action": action, "since": None if since is None else utc(since)}
    for entry in log.entries(**wanted, newest=newest):  # type: ignore[arg-type]  # of different types on purpose
        line = (
            entry.model_dump_json()
            if json
            else f"{entry.id:>5}  {entry.recorded_at:%Y-%m-%d %H:%M:%S}  {entry.actor}  {entry.action}  "
            f"{entry.subject}  {entry.reason}"
        )
        console.print(line, markup=False, highlight=False, soft_wrap=True)
