"""The release ledger: what is live, what was, who decided it and why. Rows are only ever appended.

The newest release of a use case is what is live. Each release names the one it follows, and a use case cannot have
two releases that follow the same one: of two writers at once, one wins and the other is told (LedgerMoved).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from esteira import use_cases
from esteira.errors import LedgerMoved, NoRelease, ReleaseError, UnknownName
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.database import APPEND_ONLY, Moment, lock, transaction
from esteira.stores.releases import approvals
from esteira.stores.releases.records import Proposal as Proposal  # noqa: PLC0414 - callers have it from here
from esteira.stores.releases.records import Release as Release  # noqa: PLC0414
from esteira.traffic import Traffic

_metadata = sa.MetaData()
_releases = sa.Table(
    "releases",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("follows", sa.Integer, nullable=False),
    sa.Column("restores", sa.Integer, nullable=True),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("card_sha256", sa.String, nullable=False),
    sa.Column("feature_service", sa.String, nullable=False),
    sa.Column("epoch", sa.String, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("bounds", sa.JSON, nullable=False),
    sa.Column("rules", sa.JSON, nullable=False),
    sa.Column("traffic", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("released_at", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.UniqueConstraint("use_case", "follows", name="one_release_follows_another"),
    info=APPEND_ONLY,
)


def live(use_case: str) -> Release:
    """The release that is live now. Raises NoRelease when there is none."""
    release = _newest(sa.and_(_releases.c.use_case == use_case))
    if release is None:
        raise NoRelease(
            f"Nothing is released for use case {use_case!r}. Run the belt once: flows ingest, train and validate, "
            "for instance with make demo."
        )
    return release


def live_at(use_case: str, moment: datetime) -> Release:
    """The release that was live at ``moment`` of the belt's time. Raises NoRelease when there was none."""
    release = _newest(sa.and_(_releases.c.use_case == use_case, _releases.c.released_at <= moment))
    if release is None:
        raise NoRelease(f"Nothing was released for use case {use_case!r} at {moment.isoformat()}.")
    return release


def is_released(use_case: str) -> bool:
    """Whether the use case has ever been released."""
    return _newest(_releases.c.use_case == use_case) is not None


def releases(use_case: str | None = None) -> list[Release]:
    """All releases, newest first, of one use case or of all."""
    query = sa.select(_releases).order_by(_releases.c.id.desc())
    if use_case is not None:
        query = query.where(_releases.c.use_case == use_case)
    with transaction(_metadata) as connection:
        return [_release(row) for row in connection.execute(query)]


def release(use_case: str, release_id: int) -> Release:
    """One release by its number. Raises UnknownName."""
    found = _newest(sa.and_(_releases.c.use_case == use_case, _releases.c.id == release_id))
    if found is None:
        raise UnknownName.among(
            "release", release_id, [each.id for each in releases(use_case)], "List them: esteira releases list"
        )
    return found


def append(proposal: Proposal, *, follows: int, restores: int | None = None) -> Release:
    """Make ``proposal`` live, if ``follows`` still is (0: if nothing is).

    Raises LedgerMoved when another release was appended in between, ReleaseError when its evidence is not a verdict
    that passed, when its use case wants a person's approval and nobody gave it, when what it claims to restore was
    never deployed, or when it would go live before the one it follows; nothing is written then.
    """
    if proposal.evidence.get("passed") is not True:
        raise ReleaseError(
            f"Model {proposal.model_version!r} cannot go live: its evidence is not a verdict that passed. Have the "
            f"gate judge it: make flow FLOW=validate USE_CASE={proposal.use_case} AS_OF=…"
        )
    newest = _newest(_releases.c.use_case == proposal.use_case)
    if (newest.id if newest else 0) != follows:
        raise _moved(proposal, follows)
    if restores is None:
        _require_approved(proposal, follows)
    else:
        _require_deployed(proposal, restores)
    if proposal.traffic is not None and proposal.traffic.mode == "split":
        _require_approved_challenger(proposal.use_case, proposal.traffic)
    if newest is not None and proposal.released_at < newest.released_at:
        raise ReleaseError(
            f"Model {proposal.model_version!r} cannot go live at {proposal.released_at.isoformat()}: release "
            f"{newest.id} went live later, at {newest.released_at.isoformat()}. Judge it as of a later moment."
        )
    row = _row(proposal, follows=follows, restores=restores)
    try:
        with audit.transaction(_metadata) as connection:
            written = connection.execute(sa.insert(_releases).values(**row)).inserted_primary_key
            audit.write(connection, _deed(proposal, written[0], restores, newest))  # type: ignore[index]  # an insert has a key
    except sa.exc.IntegrityError as error:
        raise _moved(proposal, follows) from error
    return release(proposal.use_case, int(written[0]))  # type: ignore[index]  # an insert has a key


def rehearse(proposal: Proposal, url: str) -> int:
    """Make ``proposal`` live in another database, for a service on trial that must not see the real one."""
    engine = sa.create_engine(url)
    _metadata.create_all(engine)
    with engine.begin() as connection:
        written = connection.execute(sa.insert(_releases).values(**_row(proposal, follows=0, restores=None)))
    engine.dispose()
    return int(written.inserted_primary_key[0])  # type: ignore[index]  # an insert has a key


@contextmanager
def standing_still() -> Iterator[None]:
    """Let nobody append a release until the block ends: what is decided about releases inside holds until then."""
    with transaction(_metadata) as connection:
        lock(connection, _releases)
        yield


def before(current: Release) -> int:
    """The release a rollback of ``current`` would restore; 0 when there is none.

    Of a rollback it is the one before what was restored, so rolling back again goes further back.
    """
    return current.follows if current.restores is None else release(current.use_case, current.restores).follows


def target(use_case: str, *, undoes: int, to: int | None) -> Release:
    """The deployed release that a rollback of ``undoes`` would restore: ``to``, or the one before what is live.

    Raises as ``roll_back`` does.
    """
    current = live(use_case)
    if current.id != undoes:
        raise moved_on(use_case, undoes, current)
    wanted = to if to is not None else before(current)
    if wanted == 0:
        raise ReleaseError(
            f"Release {current.id} of {use_case!r} has none before it: there is nothing to roll back to."
        )
    earlier = release(use_case, wanted)
    if earlier.origin == current.origin:
        raise ReleaseError(f"Release {wanted} of {use_case!r} is live already.")
    return earlier


def roll_back(use_case: str, *, undoes: int, to: int | None, actor: str, reason: str, at: datetime) -> Release:
    """Append a release that restores an earlier deployed one whole, in place of release ``undoes``.

    ``to`` names it; without, it is the one before what is live.

    Raises LedgerMoved when ``undoes`` is not live any more, ReleaseError when there is nothing earlier, UnknownName
    when ``to`` is none of this use case's.
    """
    current, earlier = live(use_case), target(use_case, undoes=undoes, to=to)
    kept = {name: getattr(earlier, name) for name in Proposal.model_fields}
    kept |= {"actor": actor, "reason": f"Rolled back to release {earlier.origin}: {reason}", "traffic": None}
    kept["released_at"] = max(at, current.released_at)
    return append(Proposal(**kept), follows=undoes, restores=earlier.origin)


def _row(proposal: Proposal, *, follows: int, restores: int | None) -> dict[str, Any]:
    return {
        **proposal.model_dump(mode="python"),
        "follows": follows,
        "restores": restores,
        "bounds": list(proposal.bounds),
        "rules": [each.model_dump(mode="json") for each in proposal.rules],
        "evidence": dict(proposal.evidence),
        "recorded_at": datetime.now(UTC),
    }


def _require_approved(proposal: Proposal, follows: int) -> None:
    if use_cases.get(proposal.use_case).approval == "auto":
        return
    if not approvals.is_approved(proposal.use_case, proposal.card_sha256, follows=follows):
        raise ReleaseError(
            f"Model {proposal.model_version!r} cannot go live: releases of {proposal.use_case!r} need the approval of "
            f"a person, and nobody approved this model in place of release {follows}. Have it judged by the validate "
            "flow, which asks for approval; then: esteira approve"
        )


def _require_approved_challenger(use_case: str, traffic: Traffic) -> None:
    """Who answers callers went live, for a share of them."""
    if use_cases.get(use_case).approval == "auto" or approvals.is_approved(use_case, traffic.card_sha256):
        return
    raise ReleaseError(
        f"Model {traffic.challenger!r} cannot answer a share of {use_case!r}: releases need the approval of a person, "
        "and nobody approved this model. Ask it in the shadow instead, or have it judged and approved: esteira approve"
    )


def _require_deployed(proposal: Proposal, restores: int) -> None:
    """What was approved once needs no approval to come back; so it must be what it says it is."""
    content = ("model_version", "card_sha256", "feature_service", "epoch", "threshold", "bounds", "rules")
    earlier = release(proposal.use_case, restores)
    if changed := [name for name in content if getattr(earlier, name) != getattr(proposal, name)]:
        raise ReleaseError(
            f"Release {restores} of {proposal.use_case!r} cannot be restored with another {', '.join(changed)}. A "
            "rollback restores a release whole: esteira rollback --to"
        )


def change_traffic(current: Release, traffic: Traffic | None, *, actor: str, reason: str, at: datetime) -> Release:
    """Append ``current`` again with other traffic, or with none, if it is still live. Raises LedgerMoved."""
    kept = {name: getattr(current, name) for name in Proposal.model_fields}
    kept |= {"traffic": traffic, "actor": actor, "reason": reason, "released_at": max(at, current.released_at)}
    return append(Proposal(**kept), follows=current.id, restores=current.origin)


def live_since(current: Release) -> datetime:
    """When the content of ``current`` went live: changes of its traffic since then do not count."""
    while current.follows and (earlier := release(current.use_case, current.follows)).origin == current.origin:
        current = earlier
    return current.released_at


def _deed(proposal: Proposal, release_id: int, restores: int | None, newest: Release | None) -> Deed:
    action = "released" if restores is None else "rolled back"
    if newest is not None and restores == newest.origin:
        action = "changed traffic"
    traffic = proposal.traffic.model_dump() if proposal.traffic else None
    details = {"model": proposal.model_version, "card_sha256": proposal.card_sha256, "restores": restores}
    return Deed(
        actor=proposal.actor,
        action=action,
        subject=f"release:{proposal.use_case}/{release_id}",
        reason=proposal.reason,
        details=details if traffic is None else {**details, "traffic": traffic},
        as_of=proposal.released_at,
    )


def _newest(condition: sa.ColumnElement[bool]) -> Release | None:
    with transaction(_metadata) as connection:
        row = connection.execute(
            sa.select(_releases).where(condition).order_by(_releases.c.id.desc()).limit(1)
        ).one_or_none()
    return None if row is None else _release(row)


def _release(row: sa.Row[Any]) -> Release:
    return Release(**row._mapping)


def moved_on(use_case: str, undoes: int, current: Release) -> LedgerMoved:
    """Why nothing is done to release ``undoes`` any more."""
    return LedgerMoved(
        f"Release {undoes} of {use_case!r} was to be undone, but release {current.id} is live. Nothing was written. "
        "Look at what is live first: esteira releases list."
    )


def _moved(proposal: Proposal, follows: int) -> LedgerMoved:
    newest = _newest(_releases.c.use_case == proposal.use_case)
    return LedgerMoved(
        f"Model {proposal.model_version!r} was judged against release {follows} of {proposal.use_case!r}, but "
        f"release {newest.id if newest else 0} is live now. Nothing was written. Judge it again against what is live."
    )
