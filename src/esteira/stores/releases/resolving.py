"""One model by a rule, and never a guess: what is live, the newest that passed, or the one that is named."""

from esteira import use_cases
from esteira.errors import InputError, UnknownName
from esteira.model_card import ModelCard
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE, SERVICE
from esteira.stores.releases import ledger

RULES = ("champion", "latest-blessed", "version=V")


def resolve(use_case: str, rule: str) -> ModelCard:
    """The verified card of the one model that ``rule`` (one of ``RULES``) names.

    Blessed is what passed the gate and, where it is served, the check of its service, by the newest verdict of each.
    Raises InputError for another rule, NoRelease when nothing is live, UnknownName when no model is named.
    """
    if rule == "champion":
        live = ledger.live(use_case)
        return models.load(use_case, live.model_version, card_sha256=live.card_sha256).card
    if rule.startswith("version="):
        return models.load(use_case, rule.removeprefix("version=")).card
    if rule != "latest-blessed":
        raise InputError(f"Unknown rule {rule!r}. Expected {', '.join(RULES)}.")
    blessed = _passed(use_case, GATE)
    if use_cases.get(use_case).is_served:
        blessed &= _passed(use_case, SERVICE)
    stored = [version for version in models.versions(use_case) if version in blessed]
    if not stored:
        raise UnknownName(
            f"No stored model of {use_case!r} has passed every check. Train one and have it judged by the flows "
            "train and validate."
        )
    return max((models.load(use_case, version).card for version in stored), key=lambda card: card.as_of)


def _passed(use_case: str, kind: str) -> set[str]:
    newest = {subject: verdict["passed"] for subject, _, verdict in verdicts.recorded(use_case, kind)}
    return {subject for subject, passed in newest.items() if passed}
