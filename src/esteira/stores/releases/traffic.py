"""Put a challenger beside the champion, change its share, take it away: each a release of the same content."""

from datetime import datetime

from esteira.errors import InputError, ReleaseError
from esteira.rules import Rank
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.models import Model
from esteira.stores.model_store.verdicts import GATE
from esteira.stores.releases import ledger
from esteira.stores.releases.ledger import Release
from esteira.traffic import Traffic


def shadow(use_case: str, challenger: str, *, actor: str, reason: str, at: datetime) -> Release:
    """Let ``challenger`` be asked what the champion is asked, and log what it says; callers see none of it.

    It needs no verdict: this is how one learns about a model that was refused, or that nobody has judged.
    Raises UnknownName when there is no such model, AlteredModel when it cannot be verified, ReleaseError when it is the
    champion itself, LedgerMoved when another release was appended meanwhile.
    """
    live, model = _both(use_case, challenger)
    wanted = Traffic(mode="shadow", challenger=model.card.version, card_sha256=model.card_sha256, share=0)
    return _change(live, wanted, actor=actor, reason=reason, at=at)


def split(use_case: str, challenger: str, share: float, *, actor: str, reason: str, at: datetime) -> Release:
    """Let ``challenger`` answer a ``share`` of entities; asked again, another share takes effect within a second.

    Raises as ``shadow`` does; InputError for a share that is none; ReleaseError when the gate's newest word about the
    challenger is not that it passed, or when answers are ranked within their request.
    """
    if not 0 < share < 1:
        raise InputError(
            f"A share of {share:g} cannot be split off. Expected more than 0 and less than 1, as in --share 0.1. "
            "A split is ended by --off; a challenger that shall answer everybody is released."
        )
    live, model = _both(use_case, challenger)
    _require_passed(use_case, model.card.version)
    if any(isinstance(rule, Rank) for rule in (*live.rules, *model.card.rules)):
        raise ReleaseError(
            f"Traffic of {use_case!r} cannot be split: the answers of one request are ranked, and scores of two models "
            "cannot be put in one order. Compare in the shadow: esteira traffic … --shadow MODEL."
        )
    wanted = Traffic(mode="split", challenger=model.card.version, card_sha256=model.card_sha256, share=share)
    return _change(live, wanted, actor=actor, reason=reason, at=at)


def stop(use_case: str, *, actor: str, reason: str, at: datetime, undoes: int | None = None) -> Release:
    """Take the challenger away; of ``undoes``, if that release is still live.

    Raises ReleaseError when there is none, LedgerMoved when another release is live.
    """
    live = ledger.live(use_case)
    if undoes is not None and live.id != undoes:
        raise ledger.moved_on(use_case, undoes, live)
    if live.traffic is None:
        raise ReleaseError(f"Release {live.id} of {use_case!r} has no challenger: there is nothing to turn off.")
    return _change(live, None, actor=actor, reason=reason, at=at)


def comparison(use_case: str) -> list[Release]:
    """The releases under which the newest challenger was compared in its newest way, oldest first; [] if never.

    They have one champion, one challenger and one mode; the share may differ from one to the next.
    """
    listed = ledger.releases(use_case)
    newest = next((place for place, each in enumerate(listed) if each.traffic is not None), len(listed))
    same: list[Release] = []
    for each in listed[newest:]:
        if same and _compared(each) != _compared(same[-1]):
            break
        same.append(each)
    return same[::-1]


def _compared(release: Release) -> tuple[int, str, str] | None:
    traffic = release.traffic
    return None if traffic is None else (release.origin, traffic.mode, traffic.challenger)


def _both(use_case: str, challenger: str) -> tuple[Release, Model]:
    """The live release, and the verified model that is to stand beside it, named as VERSION or USE_CASE:VERSION."""
    live = ledger.live(use_case)
    other, _, version = challenger.rpartition(":")
    if other not in ("", use_case):
        raise InputError(
            f"Model {challenger!r} predicts {other!r} and cannot stand beside the champion of {use_case!r}. List its "
            f"own models: esteira models list {use_case}"
        )
    model = models.load(use_case, version)
    if model.card_sha256 == live.card_sha256:
        raise ReleaseError(
            f"Model {challenger!r} is the champion of {use_case!r} itself, live as release {live.id}. Name another: "
            f"esteira models list {use_case}"
        )
    return live, model


def _require_passed(use_case: str, challenger: str) -> None:
    judged = [verdict for subject, _, verdict in verdicts.recorded(use_case, GATE) if subject == challenger]
    if not judged or judged[-1]["passed"] is not True:
        raise ReleaseError(
            f"Model {challenger!r} may not answer callers: the gate "
            + ("refused it" if judged else "never judged it")
            + f". It may run in the shadow: esteira traffic {use_case} --shadow {challenger}"
        )


def _change(live: Release, wanted: Traffic | None, *, actor: str, reason: str, at: datetime) -> Release:
    if not reason.strip():
        raise InputError("Traffic is not changed without a reason: it is kept in the ledger and in the audit log.")
    return ledger.change_traffic(live, wanted, actor=actor, reason=reason, at=at)
