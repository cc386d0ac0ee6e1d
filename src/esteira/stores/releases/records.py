"""What a release is: everything that changes together when it goes live, and the row of the ledger it becomes."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import Field

from esteira.model_card import Frozen, ModelCard
from esteira.rules import Rules
from esteira.traffic import Traffic


class Stored(Protocol):
    """A model of the store, as far as a release is made of it."""

    @property
    def card(self) -> ModelCard: ...  # noqa: D102
    @property
    def card_sha256(self) -> str: ...  # noqa: D102


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
    rules: Rules = ()
    """Its post-processing beyond threshold and bounds."""
    traffic: Traffic | None = None
    """The challenger beside it, if there is one."""
    actor: str
    reason: str
    evidence: Mapping[str, Any] = Field(default_factory=dict)
    """The gate's verdict, whole."""
    released_at: datetime
    """When it goes live, in the belt's time."""

    @classmethod
    def of(
        cls,
        model: Stored,
        *,
        follows: int,
        actor: str,
        reason: str,
        at: datetime,
        evidence: Mapping[str, Any] = MappingProxyType({}),
    ) -> "Proposal":
        """What a stored model would be, released after ``follows``: as its card says, whatever is declared now."""
        card = model.card
        return cls(
            use_case=card.use_case,
            model_version=card.version,
            card_sha256=model.card_sha256,
            feature_service=card.feature_service,
            epoch=f"{card.version}-after-{follows}",
            threshold=card.threshold,
            bounds=card.bounds,
            rules=card.rules,
            actor=actor,
            reason=reason,
            evidence=dict(evidence),
            released_at=at,
        )


class Release(Proposal):
    """A row of the ledger."""

    id: int
    follows: int
    """The release before it; 0 for a use case's first."""
    restores: int | None = None
    """The earlier release whose content this one has, when it is a rollback or has other traffic only."""
    recorded_at: datetime
    """When the row was written, by the wall clock."""

    @property
    def origin(self) -> int:
        """The release that first had this content, traffic aside."""
        return self.restores or self.id
