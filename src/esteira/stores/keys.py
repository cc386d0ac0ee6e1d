"""The keys of services: made, listed and revoked by an operator, followed by every running service.

They stand in the database of the belt's decisions. Rows are only appended: a revocation is a row of its own. Of a key
only the digest of its secret is kept; the key itself is shown once, when it is made.
"""

import re
import threading
from collections.abc import Collection
from datetime import UTC, datetime

import sqlalchemy as sa

from esteira.errors import DataError, DiskFull, InputError, UnknownName
from esteira.serving.access import SCOPES, Key, make_key, recognise
from esteira.settings import settings
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit, database
from esteira.stores.database import Moment

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_metadata = sa.MetaData()
_keys = sa.Table(
    "service_keys",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("requests_per_second", sa.Float, nullable=True),
    sa.Column("created_at", Moment, nullable=False),
    info=database.APPEND_ONLY,
)
_revocations = sa.Table(
    "service_key_revocations",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("revoked_at", Moment, nullable=False),
    info=database.APPEND_ONLY,
)


def create(
    name: str, scopes: Collection[str], *, requests_per_second: float | None = None, actor: str, reason: str
) -> str:
    """Make a key and return it: it is never shown again. Raises InputError, UnknownName."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"Cannot name a key {name!r}. Expected up to 64 letters, digits, spaces, dots, dashes or underscores."
        )
    if not scopes:
        raise InputError(f"A key without a scope opens nothing. Give it some of: {', '.join(SCOPES)}.")
    for each in scopes:
        if each not in SCOPES:
            raise UnknownName.among("scope", each, SCOPES, "A key may have several.")
    if requests_per_second is not None and not 0 < requests_per_second < float("inf"):
        raise InputError(f"A key cannot ask {requests_per_second} times a second. Expected a positive number.")
    identity, whole, digest = make_key()
    row = {
        "id": identity,
        "name": name,
        "digest": digest,
        "scopes": sorted(scopes),
        "requests_per_second": requests_per_second,
        "created_at": datetime.now(UTC),
    }
    details = {"name": name, "scopes": sorted(scopes)}
    with audit.transaction(_metadata) as connection:
        connection.execute(sa.insert(_keys).values(row))
        deed = Deed(actor=actor, action="created key", subject=f"key:{identity}", reason=reason, details=details)
        audit.write(connection, deed)
    return whole


def revoke(identity: str, *, actor: str, reason: str) -> None:
    """Let a key open nothing any more; services follow at their next poll. Raises UnknownName, InputError."""
    with audit.transaction(_metadata) as connection:
        database.lock(connection, _revocations)
        known = list(connection.execute(sa.select(_keys.c.id)).scalars())
        if identity not in known:
            raise UnknownName.among("key", identity, known, "See: esteira keys list.")
        if connection.execute(sa.select(_revocations).where(_revocations.c.id == identity)).one_or_none():
            raise InputError(f"Key {identity!r} was revoked before. Nothing was done.")
        connection.execute(sa.insert(_revocations).values(id=identity, revoked_at=datetime.now(UTC)))
        audit.write(connection, Deed(actor=actor, action="revoked key", subject=f"key:{identity}", reason=reason))


def listed() -> list[tuple[Key, datetime, datetime | None]]:
    """Every key with when it was made and revoked, oldest first."""
    query = (
        sa.select(_keys, _revocations.c.revoked_at)
        .join_from(_keys, _revocations, _keys.c.id == _revocations.c.id, isouter=True)
        .order_by(_keys.c.created_at, _keys.c.id)
    )
    with database.transaction(_metadata) as connection:
        return [
            (
                Key(row.id, row.name, bytes(row.digest), frozenset(row.scopes), row.requests_per_second),
                row.created_at,
                row.revoked_at,
            )
            for row in connection.execute(query)
        ]


class FollowedKeys:
    """The valid keys, as a service knows them: read again at every poll of the ledger."""

    def __init__(self) -> None:
        """Know nothing before ``start``."""
        self.trouble: str | None = "keys were not read yet"
        self._known: dict[str, Key] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Read the keys, and go on reading them in a thread of its own."""
        self._read()
        threading.Thread(target=self._follow, name="follow-keys", daemon=True).start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()

    def find(self, presented: str) -> Key | None:
        """The valid key that was presented, or None. Raises DataError when keys could never be read.

        When they cannot be read for a while, those last read hold: an outage of the database closes no service, and
        opens none.
        """
        if self.trouble is not None and not self._known:
            raise DataError(f"The service cannot tell who may ask: {self.trouble}. Ask again later.")
        return recognise(presented, self._known)

    def _follow(self) -> None:
        while not self._stopped.wait(settings().ledger_poll_seconds):
            self._read()

    def _read(self) -> None:
        try:
            self._known = {key.id: key for key, _, revoked in listed() if revoked is None}
            self.trouble = None
        except (sa.exc.SQLAlchemyError, OSError, DiskFull) as error:
            self.trouble = f"the database of keys does not answer ({type(error).__name__})"
