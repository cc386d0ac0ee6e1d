"""Roll back to a release that was proved to answer: its model is verified and asked before anything is written."""

from datetime import datetime

from esteira.errors import EsteiraError, ReleaseError
from esteira.model_card import GOLDEN
from esteira.stores.model_store import models
from esteira.stores.releases import golden_sets, ledger
from esteira.training.golden import Golden


def roll_back(use_case: str, *, undoes: int, to: int | None, actor: str, reason: str, at: datetime) -> ledger.Release:
    """As ``ledger.roll_back``, once the model to be restored was loaded, verified and answered its golden rows.

    Raises ReleaseError besides when it cannot; what is live stays live then.
    """
    target = ledger.target(use_case, undoes=undoes, to=to)
    try:
        _require_answers(target)
    except EsteiraError as error:
        raise ReleaseError(
            f"Release {target.id} of {use_case!r} cannot be restored, release {undoes} stays live. {error} "
            "Choose an earlier one: esteira rollback --to"
        ) from error
    return ledger.roll_back(use_case, undoes=undoes, to=target.id, actor=actor, reason=reason, at=at)


def _require_answers(target: ledger.Release) -> None:
    model = models.load(target.use_case, target.model_version, card_sha256=target.card_sha256)
    if GOLDEN in model.attachments:
        golden = Golden.model_validate_json(model.attachments[GOLDEN])
        golden_sets.predictor(model, target).output(golden.values)
