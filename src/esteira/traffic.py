"""Who answers whom while a release has a challenger beside its champion: the rule alone, nothing is read or written."""

import hashlib
from typing import Literal

from pydantic import Field

from esteira.model_card import Frozen

Role = Literal["champion", "challenger", "shadow"]
"""By whom a logged prediction is: the released model, the challenger to a caller, the challenger to nobody."""
CHAMPION: Role = "champion"
CHALLENGER: Role = "challenger"
SHADOW: Role = "shadow"


class Traffic(Frozen):
    """The challenger of a release, and what it is asked.

    In a ``shadow`` it is asked what the champion was asked, and nobody sees its answers. In a ``split`` it answers a
    ``share`` of the entities.
    """

    mode: Literal["shadow", "split"]
    challenger: str
    """Its model version."""
    card_sha256: str
    share: float = Field(ge=0, lt=1)
    """Of entities that the challenger answers; 0 in a shadow."""

    def is_challengers(self, entity_id: str) -> bool:
        """Whether the challenger answers for the entity: always the same for the same entity and challenger.

        An entity that the challenger has at one share it has at every larger one, so a share can be raised without
        exchanging anybody. Another challenger divides the entities anew, and owes nothing to the one before it.

        >>> split = Traffic(mode="split", challenger="m3", card_sha256="", share=0.5)
        >>> [split.is_challengers(each) for each in ("a", "b", "c", "d")]
        [True, False, False, True]
        """
        drawn = hashlib.blake2b(f"{self.challenger}:{entity_id}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64

    def in_words(self) -> str:
        """What is going on, for people."""
        if self.mode == "shadow":
            return f"{self.challenger} in the shadow of the champion"
        return f"{self.challenger} answers {self.share:.1%} of entities"
