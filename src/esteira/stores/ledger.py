"""The release ledger: what is live, what was, who decided it and why. Rows are only ever appended.

The newest release of a use case is what is live. Each release names the one it follows, and a use case cannot have
two releases that follow the same one: of two writers at once, one wins and the other is told (LedgerMoved).
Verdicts and retrain requests are kept here too, because they are the reasons behind releases.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from esteira.errors import LedgerMoved, NoRelease, ReleaseError, UnknownName
from esteira.model_card import Frozen
from esteira.settings import settings


class Proposal(Frozen):
    """A release that is not yet in the ledger: everything that changes together when it goes live."""

    use_case: str
    model_version: str
    card_sha256: str
    """Digest of the model card, which in turn names the digest of every file of the model."""
    feature_service: str
    epoch: str
    """Under this name its cached predictions are kept; restored together with the release."""
    threshold: float
    bounds: tuple[float, float]
    actor: str
    reason: str
    evidence: Mapping[str, Any] = Field(default_factory=dict)
    """The gate's verdict, whole."""
    released_at: datetime
    """When it goes live, in the belt's time."""


class Release(Proposal):
    """A row of the ledger."""

    id: int
    follows: int
    """The release before it; 0 for a use case's first."""
    restores: int | None = None
    """The earlier release whose content this one has, when it is a rollback."""
    recorded_at: datetime
    """When the row was written, by the wall clock."""

    @property
    def origin(self) -> int:
        """The release that first had this content: itself, unless it is a rollback."""
        return self.restores or self.id


class RetrainRequest(Frozen):
    """The monitor's decision to retrain, kept until a challenger answers it; the event is only its doorbell."""

    key: str
    use_case: str
    as_of: datetime
    reason: str


class _Moment(sa.types.TypeDecorator[datetime]):
    """An aware UTC moment as whole microseconds, because SQLite would drop the time zone."""

    impl = sa.BigInteger
    cache_ok = True
    _epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> int | None:
        return None if value is None else (value - self._epoch) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: sa.Dialect) -> datetime | None:
        return None if value is None else self._epoch + timedelta(microseconds=value)


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
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("released_at", _Moment, nullable=False),
    sa.Column("recorded_at", _Moment, nullable=False),
    sa.UniqueConstraint("use_case", "follows", name="one_release_follows_another"),
)
_verdicts = sa.Table(
    "verdicts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("as_of", _Moment, nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
    sa.UniqueConstraint("use_case", "kind", "subject", "as_of", name="one_verdict_at_a_moment"),
)
_requests = sa.Table(
    "retrain_requests",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("use_case", sa.String, nullable=False),
    sa.Column("as_of", _Moment, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)
_answers = sa.Table(
    "retrain_answers",
    _metadata,
    sa.Column("key", sa.String, sa.ForeignKey("retrain_requests.key"), primary_key=True),
    sa.Column("model_version", sa.String, nullable=False),
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
    with _connection() as connection:
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

    Raises LedgerMoved when another release was appended in between, ReleaseError when it would go live before the one
    it follows; nothing is written then.
    """
    newest = _newest(_releases.c.use_case == proposal.use_case)
    if (newest.id if newest else 0) != follows:
        raise _moved(proposal, follows)
    if newest is not None and proposal.released_at < newest.released_at:
        raise ReleaseError(
            f"Model {proposal.model_version!r} cannot go live at {proposal.released_at.isoformat()}: release "
            f"{newest.id} went live later, at {newest.released_at.isoformat()}. Judge it as of a later moment."
        )
    row = {**proposal.model_dump(mode="python"), "follows": follows, "restores": restores}
    row |= {"bounds": list(proposal.bounds), "evidence": dict(proposal.evidence), "recorded_at": datetime.now(UTC)}
    try:
        with _connection() as connection:
            written = connection.execute(sa.insert(_releases).values(**row)).inserted_primary_key
    except sa.exc.IntegrityError as error:
        raise _moved(proposal, follows) from error
    return release(proposal.use_case, int(written[0]))  # type: ignore[index]  # an insert has a key


def before(current: Release) -> int:
    """The release a rollback of ``current`` would restore; 0 when there is none.

    Of a rollback it is the one before what was restored, so rolling back again goes further back.
    """
    return current.follows if current.restores is None else release(current.use_case, current.restores).follows


def roll_back(use_case: str, *, undoes: int, to: int | None, actor: str, reason: str, at: datetime) -> Release:
    """Append a release that restores an earlier deployed one whole, in place of release ``undoes``.

    ``to`` names it; without, it is the one before what is live.

    Raises LedgerMoved when ``undoes`` is not live any more, ReleaseError when there is nothing earlier, UnknownName
    when ``to`` is none of this use case's.
    """
    current = live(use_case)
    if current.id != undoes:
        raise LedgerMoved(
            f"Release {undoes} of {use_case!r} was to be rolled back, but release {current.id} is live. Nothing was "
            "written. Look at what is live first: esteira releases list."
        )
    target = before(current) if to is None else to
    if target == 0:
        raise ReleaseError(
            f"Release {current.id} of {use_case!r} has none before it: there is nothing to roll back to."
        )
    earlier = release(use_case, target)
    if earlier.origin == current.origin:
        raise ReleaseError(f"Release {target} of {use_case!r} is live already.")
    kept = {name: getattr(earlier, name) for name in Proposal.model_fields}
    kept |= {"actor": actor, "reason": f"Rolled back to release {earlier.origin}: {reason}"}
    kept["released_at"] = max(at, current.released_at)
    return append(Proposal(**kept), follows=current.id, restores=earlier.origin)


def record_verdict(use_case: str, kind: str, subject: str, as_of: datetime, verdict: Mapping[str, Any]) -> bool:
    """Keep a verdict of ``kind`` (gate, monitor) about ``subject``, whole; False when one of this moment is kept."""
    row = {"use_case": use_case, "kind": kind, "subject": subject, "as_of": as_of, "verdict": dict(verdict)}
    try:
        with _connection() as connection:
            connection.execute(sa.insert(_verdicts).values(**row))
    except sa.exc.IntegrityError:
        return False
    return True


def verdicts(use_case: str, kind: str) -> list[tuple[str, datetime, dict[str, Any]]]:
    """All verdicts of ``kind``, oldest first, as (subject, as_of, verdict)."""
    query = sa.select(_verdicts).where(_verdicts.c.use_case == use_case, _verdicts.c.kind == kind)
    with _connection() as connection:
        return [(row.subject, row.as_of, row.verdict) for row in connection.execute(query.order_by(_verdicts.c.id))]


def request_retrain(request: RetrainRequest) -> bool:
    """Keep a retrain request; False when one of the same key is kept already, so it is asked for once."""
    try:
        with _connection() as connection:
            connection.execute(sa.insert(_requests).values(**request.model_dump(mode="python")))
    except sa.exc.IntegrityError:
        return False
    return True


def retrain_request(key: str) -> RetrainRequest:
    """The retrain request of this key. Raises UnknownName."""
    with _connection() as connection:
        row = connection.execute(sa.select(_requests).where(_requests.c.key == key)).one_or_none()
    if row is None:
        raise UnknownName(f"No retrain request has the key {key!r}. The monitor flow records them before it asks.")
    return RetrainRequest(**row._mapping)


def last_retrain_request(use_case: str) -> RetrainRequest | None:
    """The newest retrain request of a use case, if it ever asked."""
    query = sa.select(_requests).where(_requests.c.use_case == use_case).order_by(_requests.c.as_of.desc()).limit(1)
    with _connection() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else RetrainRequest(**row._mapping)


def answer_retrain(key: str, model_version: str) -> str:
    """Note that ``model_version`` answers the request; return the version that did so first. Raises UnknownName."""
    try:
        with _connection() as connection:
            connection.execute(sa.insert(_answers).values(key=key, model_version=model_version))
    except sa.exc.IntegrityError:
        retrain_request(key)  # raises when there is no such request
        return answered_by(key) or model_version
    return model_version


def answered_by(key: str) -> str | None:
    """The challenger that answered the request, or None while it is open."""
    with _connection() as connection:
        row = connection.execute(sa.select(_answers).where(_answers.c.key == key)).one_or_none()
    return None if row is None else str(row.model_version)


def _newest(condition: sa.ColumnElement[bool]) -> Release | None:
    with _connection() as connection:
        row = connection.execute(
            sa.select(_releases).where(condition).order_by(_releases.c.id.desc()).limit(1)
        ).one_or_none()
    return None if row is None else _release(row)


def _release(row: sa.Row[Any]) -> Release:
    return Release(**row._mapping)


def _moved(proposal: Proposal, follows: int) -> LedgerMoved:
    newest = _newest(_releases.c.use_case == proposal.use_case)
    return LedgerMoved(
        f"Model {proposal.model_version!r} was judged against release {follows} of {proposal.use_case!r}, but "
        f"release {newest.id if newest else 0} is live now. Nothing was written. Judge it again against what is live."
    )


@contextmanager
def _connection() -> Iterator[sa.Connection]:
    with _engine(settings().ledger).begin() as connection:
        yield connection


@lru_cache(maxsize=4)
def _engine(url: str) -> sa.Engine:
    if url.startswith("sqlite"):
        settings().home.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": 30})
        sa.event.listen(engine, "connect", _use_write_ahead_log)
    else:
        engine = sa.create_engine(url, pool_pre_ping=True)
    with engine.begin() as connection:
        for table in _metadata.sorted_tables:  # IF NOT EXISTS: several processes may meet a new ledger at once
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    return engine


def _use_write_ahead_log(connection: Any, _record: Any) -> None:
    # Readers (every service, twice a second) must never wait for a writer.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
