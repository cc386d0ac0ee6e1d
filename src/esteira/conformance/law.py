"""What a law is: a sentence, and a check that says what is broken and what to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from esteira.conformance.case import Case
from esteira.errors import BrokenLaw

Needs = Literal["declaration", "data", "model"]
"""How far the belt must have run: not at all; until ingest; until train and validate."""


@dataclass(frozen=True)
class Law:
    """One sentence that holds for every use case; ``check`` raises BrokenLaw where it does not."""

    sentence: str
    needs: Needs
    check: Callable[[Case], None]

    @property
    def name(self) -> str:
        """The sentence as an identifier, for test names."""
        return self.check.__name__


LAWS: list[Law] = []
"""Every law, in the order in which they are worth reading."""


def law(needs: Needs) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Register a check as a law; the first line of its docstring is the sentence."""

    def register(check: Callable[[Case], None]) -> Callable[[Case], None]:
        sentence = (check.__doc__ or check.__name__).strip().splitlines()[0]
        LAWS.append(Law(sentence=sentence, needs=needs, check=check))
        return check

    return register


def require(holds: bool, message: str) -> None:
    """Raise BrokenLaw with ``message`` unless the condition holds."""
    if not holds:
        raise BrokenLaw(message)
