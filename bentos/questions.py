"""What one asks any service: entities to predict for, names to look up, or feature values of one's own.

A bento says what its entity looks like; the rest is the same for all.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field

from esteira.serving.answers import Request

MOST = 1_000
MOST_LOOKED_UP = 10_000
FeatureValue = float | int | bool | str | None
Rows = Mapping[str, Sequence[Any]]


class Questions(Request):
    """Entities to predict for, and optionally the moment whose knowledge to use."""

    as_of: AwareDatetime | None = Field(
        default=None,
        description="Compute with what was known then. Default: now, from what was made ahead if it suits.",
    )
    explain: bool = Field(default=False, description="Compute, and tell what each feature contributed.")

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """The entities' names, in order."""

    @property
    def named_only(self) -> list[str]:
        """Those whose keys must be looked up, because they were predicted ahead and are given by name."""
        return []

    @abstractmethod
    def columns(self, known: Mapping[str, Mapping[str, Any]], as_of: datetime) -> Rows:
        """Entity keys and request inputs of the n entities asked about at ``as_of``; ``known`` has the looked-up ones.

        Raises InvalidRequest for what cannot be asked at that moment.
        """


class Names(Request):
    """Entities whose precomputed predictions are asked for."""

    @property
    @abstractmethod
    def ids(self) -> list[str]:
        """The entities' names, in order."""


class FeatureRow(Request):
    """An entity described by feature values of the caller's own; a feature that is left out is missing."""

    name: str = Field(min_length=1, max_length=64, description="Names the row in the answer and in the log.")
    features: dict[str, FeatureValue] = Field(max_length=1_000, description="As the live model card names them.")
    keys: dict[str, FeatureValue] = Field(
        default_factory=dict, max_length=100, description="What post-processing rules look at, such as origin."
    )


class Features(Request):
    """Feature values to predict from as they are, without looking anything up."""

    rows: list[FeatureRow] = Field(min_length=1, max_length=MOST)
    explain: bool = False
