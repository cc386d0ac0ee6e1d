"""The rules that may stand between a model's output and an answer: declared as values, kept in each release.

A use case declares them, the model card carries them, the gate judges with them, a release holds them, and
serving/post_processing.py applies them. A condition looks at entity keys and request inputs only, so a rule does the
same to an answer computed now and to one made ahead.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, model_validator

BOUNDS = "bounds"
"""Under this name a change by the release's bounds is told, and kept in the prediction log."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Declared):
    """For whom a rule holds: the value of ``column`` is one of ``values``; a missing value never is."""

    column: str
    values: tuple[str | int | float, ...] = Field(min_length=1)


class _Rule(_Declared):
    name: str = Field(min_length=1, description="Names the rule in answers and in the log.")
    reason: str = Field(min_length=1, description="Why it exists: business, safety or law.")
    when: Condition | None = Field(default=None, description="For whom; without it, for everybody.")


class Clip(_Rule):
    """Move a prediction that lies outside ``low`` to ``high`` to the nearer of them."""

    rule: Literal["clip"] = "clip"
    low: FiniteFloat
    high: FiniteFloat

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"{self.low} to {self.high} is no range. Expected the lower one first.")
        return self


class Floor(_Rule):
    """Raise a prediction below ``at_least`` to it."""

    rule: Literal["floor"] = "floor"
    at_least: FiniteFloat


class Bands(_Rule):
    """Name the band a prediction lies in: the last of ``bands`` that begins at or below it; before the first, none."""

    rule: Literal["bands"] = "bands"
    bands: tuple[tuple[FiniteFloat, str], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        starts = [start for start, _ in self.bands]
        if starts != sorted(set(starts)):
            raise ValueError(f"The bands begin at {starts}. Expected ascending beginnings, each once.")
        return self


class Boost(_Rule):
    """Multiply the score by which answers are ranked: above 1 boosts, below 1 demotes; the prediction stays."""

    rule: Literal["boost"] = "boost"
    factor: FiniteFloat = Field(gt=0)


class Suppress(_Rule):
    """Withhold the prediction; the answer says why, and a ranking leaves it out."""

    rule: Literal["suppress"] = "suppress"


class Rank(_Rule):
    """Number the answers of one request by their score, highest first; equal scores keep the order of the questions.

    With ``at_most`` no value of ``each`` takes more than so many places before every other answer is placed: a list
    that shows several kinds. The answers themselves stay in the order of the questions.
    """

    rule: Literal["rank"] = "rank"
    each: str | None = None
    at_most: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.each is None) != (self.at_most is None):
            raise ValueError("A ranking names both each and at_most, or neither.")
        if self.when is not None:
            raise ValueError("A ranking orders all answers of a request; it takes no condition.")
        return self


Rule = Annotated[Clip | Floor | Bands | Boost | Suppress | Rank, Field(discriminator="rule")]
Rules = tuple[Rule, ...]
_RULES: TypeAdapter[Rules] = TypeAdapter(Rules)


def parse_rules(written: Any) -> Rules:
    """The rules that ``written``, plain JSON values, describes. Raises ValidationError (Pydantic's)."""
    return _RULES.validate_python(written)
