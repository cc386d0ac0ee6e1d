"""The step that makes a challenger live which the gate let through."""

from datetime import datetime

from esteira import use_cases
from esteira.errors import ReleaseError
from esteira.model_card import missing_records
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE
from esteira.stores.releases import bentos, ledger
from flows.steps.announce import announce
from flows.steps.judging import Judgement
from flows.steps.step import step


@step
def release_challenger(use_case: str, challenger: str, judgement: Judgement, as_of: datetime) -> ledger.Release:
    """Package a challenger that passed and make it live, following the release it was judged against.

    Doing it again changes nothing. Raises ReleaseError for a verdict that did not pass, or that the gate never gave
    about this model, or a card that lacks what it must say;
    LedgerMoved when another release went live since it was judged.
    """
    verdict = judgement.verdict
    _require_passed(use_case, challenger, judgement, as_of)
    model = models.load(use_case, challenger)
    _require_complete(model)
    if ledger.is_released(use_case) and ledger.live(use_case).card_sha256 == model.card_sha256:
        release = ledger.live(use_case)
    else:
        proposal = ledger.Proposal(
            use_case=use_case,
            model_version=challenger,
            card_sha256=model.card_sha256,
            feature_service=model.card.feature_service,
            epoch=f"{challenger}-after-{judgement.against}",
            # What was judged is what is served: the card's rules, whatever the declaration says by now.
            threshold=model.card.threshold,
            bounds=model.card.bounds,
            rules=model.card.rules,
            actor=GATE,
            reason=f"{verdict.sentences[0]} {model.card.cause}",
            evidence=verdict.model_dump(mode="json"),
            released_at=as_of,
        )
        if use_cases.get(use_case).is_served:
            bentos.build(use_case, proposal)  # first, so that whatever is live can be served from its bento
        release = ledger.append(proposal, follows=judgement.against)
    announce(release)
    return release


def _require_passed(use_case: str, challenger: str, judgement: Judgement, as_of: datetime) -> None:
    verdict = judgement.verdict
    if not verdict.passed:
        broken = [check.sentence for check in verdict.checks if not check.passed]
        raise ReleaseError(
            f"Model {challenger!r} did not pass its gate and cannot be released. {verdict.sentences[0]} "
            + " ".join(broken)
        )
    # Whoever calls this hands in a verdict; the gate's own book must say the same.
    kept = [each["passed"] for of, at, each in verdicts.recorded(use_case, GATE) if (of, at) == (challenger, as_of)]
    if kept != [True]:
        raise ReleaseError(
            f"Model {challenger!r} cannot be released as of {as_of.isoformat()}: the gate "
            + ("refused it then" if kept else "never judged it then")
            + ". Have it judged as of a later moment, by the validate flow."
        )


def _require_complete(model: models.Model) -> None:
    if missing := missing_records(model.card, model.attachments):
        raise ReleaseError(
            f"Model {model.card.version!r} cannot be released: its card lacks {', '.join(missing)}. Let the train flow "
            "write it again; what only people know, such as limits, is stated in the use case."
        )
