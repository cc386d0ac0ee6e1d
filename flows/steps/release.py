"""The step that makes a challenger live which the gate let through."""

from datetime import datetime

from esteira import use_cases
from esteira.errors import ReleaseError
from esteira.model_card import missing_records
from esteira.settings import settings
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE, SERVICE
from esteira.stores.monitoring import alerts
from esteira.stores.releases import approvals, bentos, ledger
from flows.steps.announce import announce
from flows.steps.judging import Judgement
from flows.steps.step import step


@step
def release_challenger(use_case: str, challenger: str, judgement: Judgement, as_of: datetime) -> ledger.Release | None:
    """Package a challenger that passed and make it live, following the release it was judged against.

    Where the use case wants a person's approval that nobody gave yet, it is asked for, an alert tells, and None is
    returned. Doing it again changes nothing. Raises ReleaseError for a verdict that did not pass, or that was
    never given about this model and its service, or a card that lacks what it must say; LedgerMoved when another
    release went live since it was judged.
    """
    _require_passed(use_case, challenger, judgement, as_of)
    model = models.load(use_case, challenger)
    _require_complete(model)
    if ledger.is_released(use_case) and ledger.live(use_case).card_sha256 == model.card_sha256:
        release = ledger.live(use_case)
    else:
        proposal = propose(model, judgement, as_of)
        if use_cases.get(use_case).is_served:
            bentos.build(use_case, proposal)  # first, so that whatever is live can be served from its bento
        if _waits_for_approval(proposal, judgement.against):
            return None
        release = ledger.append(proposal, follows=judgement.against)
    announce(release)
    return release


def _waits_for_approval(proposal: ledger.Proposal, follows: int) -> bool:
    declared = use_cases.get(proposal.use_case)
    if declared.approval == "auto" or approvals.is_approved(declared.name, proposal.card_sha256, follows=follows):
        return False
    request = approvals.ask(proposal.model_dump(mode="json"), follows=follows, by=settings().actor)
    alerts.open_alert(
        alerts.Alert(
            key=f"approval {declared.name} {request.id}", severity="warning", owner=declared.owner,
            use_case=declared.name, subject=proposal.model_version, opened_at=proposal.released_at,
            sentence=f"Model {proposal.model_version!r} passed and waits for the approval of a person other than "
            f"{request.requested_by!r}.",
            link=f"esteira approve {request.id} --by NAME --reason …",
        )
    )  # fmt: skip
    alerts.deliver()
    return True


def propose(model: models.Model, judgement: Judgement, as_of: datetime) -> ledger.Proposal:
    """The release a judged model would be."""
    return ledger.Proposal.of(
        model,
        follows=judgement.against,
        actor=GATE,
        reason=f"{judgement.verdict.sentences[0]} {model.card.cause}",
        evidence=judgement.verdict.model_dump(mode="json"),
        at=as_of,
    )


def _require_passed(use_case: str, challenger: str, judgement: Judgement, as_of: datetime) -> None:
    verdict = judgement.verdict
    if not verdict.passed:
        broken = [check.sentence for check in verdict.checks if not check.passed]
        raise ReleaseError(
            f"Model {challenger!r} did not pass its gate and cannot be released. {verdict.sentences[0]} "
            + " ".join(broken)
        )
    # Whoever calls this hands in a verdict; the books must say the same.
    for kind, who in ((GATE, "the gate"), (SERVICE, "the check of its service")):
        if kind == SERVICE and not use_cases.get(use_case).is_served:
            continue
        kept = [each["passed"] for of, at, each in verdicts.recorded(use_case, kind) if (of, at) == (challenger, as_of)]
        if kept != [True]:
            raise ReleaseError(
                f"Model {challenger!r} cannot be released as of {as_of.isoformat()}: {who} "
                + ("refused it then" if kept else "never judged it then")
                + ". Have it judged as of a later moment, by the validate flow."
            )


def _require_complete(model: models.Model) -> None:
    if missing := missing_records(model.card, model.attachments):
        raise ReleaseError(
            f"Model {model.card.version!r} cannot be released: its card lacks {', '.join(missing)}. Let the train flow "
            "write it again; what only people know, such as limits, is stated in the use case."
        )
