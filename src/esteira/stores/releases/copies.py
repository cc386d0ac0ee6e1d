"""Copies of the ledger's word, for people who look elsewhere: MLflow's alias, and the labels of bentos.

The ledger is the truth; a copy that differs is written again from it.
"""

from esteira.stores.model_store import models, tracking
from esteira.stores.releases import bentos, ledger

ALIAS = "champion"


def differences(use_case: str) -> list[str]:
    """Where a copy says something else than the ledger, and what of the live release is missing, in sentences."""
    if not ledger.is_released(use_case):
        return []
    live = ledger.live(use_case)
    found = []
    told = tracking.aliased(use_case, ALIAS)
    if told != live.model_version:
        found.append(f"MLflow's alias {ALIAS!r} of {use_case!r} is {told or 'nothing'}, {live.model_version} is live.")
    for version, label in bentos.live_labels(use_case).items():
        wanted = str(live.id) if bentos.is_of(version, live) else None
        if label != wanted:
            found.append(
                f"Bento {use_case}:{version} is labelled {f'as live release {label}' if label else 'as not live'}; the "
                f"ledger says {f'it is live release {wanted}' if wanted else 'it is not live'}."
            )
    if live.model_version not in models.versions(use_case):
        found.append(
            f"The model {live.model_version} of the live release {live.id} is not in the store. Restore it from a "
            f"copy, or roll back: esteira rollback {use_case} --reason …"
        )
    return found


def rewrite(use_case: str) -> None:
    """Write the copies from the ledger; the same again changes nothing."""
    live = ledger.live(use_case)
    tracking.mark_alias(use_case, live.model_version, ALIAS)
    bentos.label_live(use_case, live)
