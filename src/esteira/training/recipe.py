"""What a run trains with: which candidates, with which parameters, and where those are from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from esteira.contract import Candidate, UseCase
from esteira.errors import InputError, UnknownName
from esteira.model_card import Frozen, ModelCard


class Budget(Frozen):
    """How much a search for better parameters may cost: trials of each candidate, and seconds of all together."""

    trials: int
    seconds: float

    def require_some(self) -> None:
        """Raise InputError unless at least one trial may run."""
        if self.trials < 1 or not self.seconds > 0:
            raise InputError(
                f"A tuning budget of {self.trials} trials and {self.seconds:g} seconds allows no trial. Give both at "
                "least 1, or train without tuning: the last approved parameters are taken then."
            )


class Recipe(Frozen):
    """What whoever starts a run may choose; left empty, every candidate enters with its last approved parameters."""

    candidate: str | None = None
    """Train this candidate only."""
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Parameters of that candidate, over the approved ones."""
    tuning: Budget | None = None
    """Search for better parameters first, within this budget."""


@dataclass(frozen=True)
class Entrant:
    """A candidate with the parameters it enters the selection with."""

    candidate: Candidate
    parameters: Mapping[str, Any]
    source: str
    """Where the parameters are from, in a sentence."""

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name


def resolve(use_case: UseCase, recipe: Recipe, approved: ModelCard | None) -> tuple[Entrant, ...]:
    """The candidates of a run with their parameters: given, else those of ``approved`` (what is live), else declared.

    What is live counts only while the use case declares what it declared then: a new declaration is a decision too.

    Raises UnknownName for a candidate or a parameter that is not declared, InputError for parameters of no candidate.
    """
    if recipe.candidate is None:
        if recipe.parameters:
            raise InputError(
                f"The parameters {', '.join(recipe.parameters)} were given for no candidate. Say which one they are "
                f"for: {', '.join(each.name for each in use_case.candidates)}."
            )
        return tuple(_usual(each, approved) for each in use_case.candidates)
    named = [each for each in use_case.candidates if each.name == recipe.candidate]
    if not named:
        known = [each.name for each in use_case.candidates]
        raise UnknownName.among("candidate", recipe.candidate, known, f"{use_case.name} declares them in its model.py.")
    usual = _usual(named[0], approved)
    _require_declared(named[0], recipe.parameters)
    if not recipe.parameters:
        return (usual,)
    given = ", ".join(f"{name}={value}" for name, value in recipe.parameters.items())
    return (Entrant(named[0], {**usual.parameters, **recipe.parameters}, f"Given by hand: {given}. {usual.source}"),)


def declared(candidates: Sequence[Candidate]) -> tuple[Entrant, ...]:
    """Candidates with the parameters they are declared with."""
    return tuple(Entrant(each, dict(each.parameters), "As the use case declares them.") for each in candidates)


def _usual(candidate: Candidate, approved: ModelCard | None) -> Entrant:
    plain = declared([candidate])[0]
    if approved is None or approved.candidate != candidate.name:
        return plain
    if dict(approved.declared_parameters) != dict(candidate.parameters):
        return Entrant(
            candidate,
            plain.parameters,
            f"As the use case declares them now; {approved.version}, which is live, knew others.",
        )
    return Entrant(candidate, dict(approved.parameters), f"Last approved: those of {approved.version}, which is live.")


def _require_declared(candidate: Candidate, parameters: Mapping[str, Any]) -> None:
    for name in parameters:
        if name not in candidate.parameters:
            raise UnknownName.among(
                f"parameter of candidate {candidate.name!r}", name, candidate.parameters, "They are declared with it."
            )
