"""``esteira approve`` and ``esteira approvals``: releases that wait for a person."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from esteira import use_cases

console = Console()


def list_approvals(use_case: Annotated[str | None, typer.Argument(help="Only this use case.")] = None) -> None:
    """Releases that a person had to approve, newest first: who asked, and who approved."""
    from esteira.stores.releases import approvals

    listed = approvals.requests(use_case and use_cases.get(use_case).name)
    for each in listed:
        state = escape(f"approved by {each.approved_by}: {each.reason}") if each.approved_by else "[bold]waits[/]"
        console.print(
            f"{each.id:>4}  {each.use_case}:{each.model_version}  asked for by {escape(each.requested_by)}, in place "
            f"of release {each.follows}  {state}",
            highlight=False,
            soft_wrap=True,
        )
    console.print("[dim]Approve one: esteira approve NUMBER --by NAME --reason …[/]" if listed else "Nothing waits.")


def approve(
    request: Annotated[int, typer.Argument(help="The number that esteira approvals shows.")],
    by: Annotated[str, typer.Option(help="Your name; not that of who asked.")],
    reason: Annotated[str, typer.Option(help="Why it may go live; it is kept in the audit log.")],
) -> None:
    """Approve a release that waits, and make it live."""
    from esteira.stores.releases import approvals, copies, ledger

    approved = approvals.approve(request, by=by, reason=reason)
    proposal = ledger.Proposal.model_validate(approved.proposal)
    told = f"{proposal.reason} Approved by {by}: {reason}"
    release = ledger.append(proposal.model_copy(update={"reason": told}), follows=approved.follows)
    copies.rewrite(release.use_case)
    console.print(f"Release {release.id} is live: {release.model_version}.", soft_wrap=True)
