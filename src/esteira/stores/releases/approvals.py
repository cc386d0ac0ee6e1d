"""Releases that a person must approve: who asked, who approved, and exactly what. Rows are only ever appended.

A use case says whether its releases need one (``approval`` of its declaration). Approved is one model, by the digest of
its card; the ledger takes no other.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from esteira.errors import InputError, UnknownName
from esteira.model_card import Frozen
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.database import APPEND_ONLY, Moment, transaction

metadata = sa.MetaData()
_requests = sa.Table(
    "approval_requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("model_version", sa.String, nullable=False),
    sa.Column("card_sha256", sa.String, nullable=False),
    sa.Column("requested_by", sa.String, nullable=False),
    sa.Column("follows", sa.Integer, nullable=False),
    sa.Column("proposal", sa.JSON, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    # Asked for once against one release: a run that is done again asks nothing new.
    sa.UniqueConstraint("use_case", "card_sha256", "follows", name="one_request_of_a_model_and_its_predecessor"),
    info=APPEND_ONLY,
)
_approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("request", sa.Integer, sa.ForeignKey("approval_requests.id"), primary_key=True),
    sa.Column("approved_by", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
    info=APPEND_ONLY,
)


class Request(Frozen):
    """A release that waits for a person, or was approved by one."""

    id: int
    use_case: str
    model_version: str
    card_sha256: str
    requested_by: str
    follows: int
    """The release it was judged against; it can be approved while that is live."""
    proposal: Mapping[str, Any]
    """The whole release as it would be appended."""
    recorded_at: datetime
    approved_by: str | None = None
    reason: str | None = None


def ask(proposal: Mapping[str, Any], *, follows: int, by: str) -> Request:
    """Ask for the approval of a release (its JSON); asking again for the same returns the first request."""
    about = {name: proposal[name] for name in ("use_case", "model_version", "card_sha256")}
    row = {**about, "requested_by": by, "follows": follows, "proposal": dict(proposal)}
    try:
        with audit.transaction(metadata) as connection:
            connection.execute(sa.insert(_requests).values(**row, recorded_at=datetime.now(UTC)))
            audit.write(
                connection,
                Deed(
                    actor=by, action="asked for approval", subject=_subject(about), details={"follows": follows},
                    reason=str(proposal["reason"]), as_of=datetime.fromisoformat(proposal["released_at"]),
                ),
            )  # fmt: skip
    except sa.exc.IntegrityError:
        pass  # asked before
    return next(
        each
        for each in requests(about["use_case"])
        if (each.card_sha256, each.follows) == (about["card_sha256"], follows)
    )


def approve(request: int, *, by: str, reason: str) -> Request:
    """Note that ``by`` approves a request, with the ``reason``.

    Raises UnknownName for a request there is not, InputError when ``by`` is nobody, asked for it, or somebody did.
    """
    found = _request(request)
    if not by.strip() or not reason.strip():
        raise InputError("An approval needs a name and a reason: esteira approve … --by NAME --reason …")
    if _person(by) == _person(found.requested_by):
        raise InputError(
            f"{by!r} asked for the release of {found.model_version!r} and cannot approve it. Expected somebody else."
        )
    row = {"request": request, "approved_by": by, "reason": reason, "recorded_at": datetime.now(UTC)}
    try:
        with audit.transaction(metadata) as connection:
            connection.execute(sa.insert(_approvals).values(**row))
            audit.write(
                connection,
                Deed(
                    actor=by, action="approved", subject=_subject(found.model_dump()), reason=reason,
                    details={"request": request, "requested_by": found.requested_by},
                    as_of=datetime.fromisoformat(found.proposal["released_at"]),
                ),
            )  # fmt: skip
    except sa.exc.IntegrityError as error:
        raise InputError(f"Request {request} was approved before, by {_request(request).approved_by}.") from error
    return _request(request)


def requests(use_case: str | None = None) -> list[Request]:
    """All requests with their approvals, newest first."""
    query = sa.select(_requests, _approvals.c.approved_by, _approvals.c.reason).select_from(
        _requests.outerjoin(_approvals)
    )
    if use_case is not None:
        query = query.where(_requests.c.use_case == use_case)
    with transaction(metadata) as connection:
        return [Request(**row._mapping) for row in connection.execute(query.order_by(_requests.c.id.desc()))]


def is_approved(use_case: str, card_sha256: str, *, follows: int | None = None) -> bool:
    """Whether somebody approved this very model, in place of release ``follows`` or, without, of any."""
    return any(
        each.approved_by is not None and each.card_sha256 == card_sha256 and follows in {None, each.follows}
        for each in requests(use_case)
    )


def _request(number: int) -> Request:
    listed = requests()
    found = next((each for each in listed if each.id == number), None)
    if found is None:
        raise UnknownName.among("request", number, [each.id for each in listed], "List them: esteira approvals")
    return found


def _person(name: str) -> str:
    return name.strip().casefold()


def _subject(about: Mapping[str, Any]) -> str:
    return f"model:{about['use_case']}:{about['model_version']}"
