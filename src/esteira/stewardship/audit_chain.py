"""The chain of audit entries: each carries the digest of the one before it, so that no edit goes unseen.

The method is the linked time-stamping of Haber and Stornetta 1991. A chain alone cannot show that its newest entries
were cut off; for that its head (the count and the newest digest) is kept in another place as well.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, Field

from esteira.errors import InputError
from esteira.model_card import Frozen

GENESIS = "0" * 64
"""What the first entry names as the digest before it."""


class Deed(Frozen):
    """What somebody did to data, a model, a release or an access right, before it is in the log."""

    actor: str
    """A person, or the flow that did it by itself."""
    action: str
    """A verb: released, rolled back, forgot, held, read, …"""
    subject: str
    """What it was done to, such as ``release:flight_delay/3``. Never a restricted value."""
    reason: str
    details: Mapping[str, Any] = Field(default_factory=dict)
    """Plain JSON values."""
    as_of: AwareDatetime | None = None
    """The belt's time it stands for, where it has one."""


class AuditEntry(Deed):
    """A deed in the log."""

    id: int
    """1, 2, 3, … without a gap."""
    recorded_at: datetime
    """By the wall clock."""
    previous: str
    digest: str


class Head(Frozen):
    """How long the chain is, and the digest of its newest entry; written as ``12:ab34…``."""

    count: int
    digest: str

    def __str__(self) -> str:
        return f"{self.count}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """The head written as ``text``. Raises InputError."""
        count, colon, digest = text.strip().partition(":")
        if not colon or not count.isdigit() or len(digest) != len(GENESIS):
            raise InputError(
                f"Cannot read {text.strip()!r} as the head of an audit log. Expected COUNT:DIGEST with 64 hexadecimal "
                "digits, as esteira audit --verify prints it."
            )
        return cls(count=int(count), digest=digest)


def link(deed: Deed, *, previous: Head, recorded_at: datetime) -> AuditEntry:
    """The entry that follows ``previous``."""
    facts = {**deed.model_dump(), "id": previous.count + 1, "recorded_at": recorded_at, "previous": previous.digest}
    facts["as_of"] = deed.as_of and deed.as_of.astimezone(UTC)  # as the database gives it back
    return AuditEntry(**facts, digest=_digest(facts))


def faults(entries: Iterable[AuditEntry], heads: Mapping[str, Head]) -> tuple[str, ...]:
    """What is wrong with a chain (oldest entry first), a sentence each; none when it is whole.

    ``heads`` are heads that were kept elsewhere, by the place's name: each must still be in the chain.
    """
    found: list[str] = []
    before, by_id = Head(count=0, digest=GENESIS), {0: GENESIS}
    for entry in entries:
        if entry.id != before.count + 1:
            found.append(f"Entry {before.count + 1} is gone: entry {entry.id} comes after entry {before.count}.")
        elif entry.previous != before.digest:
            found.append(f"Entry {entry.id} does not follow entry {before.count} as it stands: one was exchanged.")
        if _digest(entry.model_dump(exclude={"digest"})) != entry.digest:
            found.append(f"Entry {entry.id} was edited: its content has another digest than it was written with.")
        before = Head(count=entry.id, digest=entry.digest)
        by_id[entry.id] = entry.digest
    for place, head in heads.items():
        if head.count not in by_id:
            found.append(f"The newest entries were cut off: {place} knows {head.count}, the log has {before.count}.")
        elif by_id[head.count] != head.digest:
            found.append(f"Entry {head.count} is not the one {place} knows: the log was written anew.")
    return tuple(found)


def _digest(facts: Mapping[str, Any]) -> str:
    # Timestamps as isoformat in UTC; keys sorted; nothing but JSON, so that any language can verify it.
    text = json.dumps(dict(facts), sort_keys=True, default=datetime.isoformat, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
