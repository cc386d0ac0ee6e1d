"""Who may ask a service for what: keys, their scopes, and how a key is recognised.

A key reads ``esteira_<id>_<secret>``. Only the SHA-256 of the secret is kept. The secret is 256 random bits, so a slow
hash, as for passwords, would protect nothing more and cost every request.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

SCOPES = ("predict", "outcomes", "admin")
"""``predict`` asks for predictions, ``outcomes`` reports what happened, ``admin`` sees metrics and all the rest."""

_SHAPE = re.compile(r"esteira_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = bytes(32)


@dataclass(frozen=True)
class Key:
    """What is known of a key; the secret is not."""

    id: str
    name: str
    digest: bytes
    scopes: frozenset[str]
    requests_per_second: float | None = None
    """None: the service's own limit."""

    def __repr__(self) -> str:
        return f"Key({self.id}, {self.name!r}, {'+'.join(sorted(self.scopes))})"


class Keys(Protocol):
    """Where a service finds its keys."""

    def find(self, presented: str) -> Key | None:
        """The valid key that was presented, or None. Raises DataError while keys cannot be known."""
        ...


def make_key() -> tuple[str, str, bytes]:
    """A new key: its id, the whole of it as the caller shall send it, and the digest to be kept."""
    identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return identity, f"esteira_{identity}_{secret}", _digest(secret)


def recognise(presented: str, known: Mapping[str, Key]) -> Key | None:
    """The key of ``known`` (by id) that was presented, or None; takes as long for a wrong secret as for a wrong id."""
    read = _SHAPE.fullmatch(presented)
    if read is None:
        return None
    key = known.get(read[1])
    same = hmac.compare_digest(_digest(read[2]), key.digest if key else _NOBODY)
    return key if same else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
