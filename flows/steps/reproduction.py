"""Rebuild a stored model from what its card names, and compare it byte for byte."""

from esteira import use_cases
from esteira.contract import Candidate, UseCase
from esteira.errors import UnknownName
from esteira.model_card import Frozen, ModelCard
from esteira.settings import settings
from esteira.stores import code
from esteira.stores.data import tables
from esteira.stores.model_store import models, tracking, training_sets
from esteira.training.fit import refit
from esteira.training.learn import Where
from esteira.training.recipe import Entrant
from flows.steps.training import join_training_set


class Rebuilt(Frozen):
    """What came of rebuilding a model with this code: whether it is the same, and sentences with the evidence."""

    model: str
    is_same: bool
    sentences: tuple[str, ...]


def rebuild(use_case: str, version: str) -> Rebuilt:
    """Build a model again with this checkout's code from the data its card names, and compare files by SHA-256.

    Raises UnknownName when the model, its candidate or a version of its data is not there, AlteredModel when the
    stored model is not what its card says.
    """
    card = models.load(use_case, version).card
    declared = use_cases.get(card.use_case)
    _require_data(card)
    rows = join_training_set(declared, card.as_of)
    same_data = training_sets.digest(rows) == card.training_set_sha256
    entrant = Entrant(_candidate(declared, card), card.parameters, "As the card says.")
    where = Where(seed=card.seed, threads=settings().threads, device=settings().device)
    pipeline = refit(declared, rows, card.columns, entrant, as_of=card.as_of, where=where)
    differing = models.differing_files(pipeline, card)
    return Rebuilt(
        model=models.tag(card),
        is_same=not differing,
        sentences=(
            *_circumstances(card),
            f"The training set of {rows.height:,} rows {'is' if same_data else 'IS NOT'} the same, value for value.",
            *(
                f"{name}: the card says SHA-256 {said}, rebuilt it is {found}."
                for name, (said, found) in differing.items()
            ),
            f"Rebuilt, {models.tag(card)} "
            + ("differs from what is stored." if differing else "is byte for byte what is stored."),
        ),
    )


def _require_data(card: ModelCard) -> None:
    for table, version in card.data_versions.items():
        tables.scan(table, at_version=version)  # raises when it is gone


def _candidate(declared: UseCase, card: ModelCard) -> Candidate:
    for each in declared.candidates:
        if each.name == card.candidate:
            return each
    known = [each.name for each in declared.candidates]
    raise UnknownName.among("candidate", card.candidate, known, "This code is not the one the model was trained with.")


def _circumstances(card: ModelCard) -> list[str]:
    """Sentences about what is not as it was when the model was trained; each may explain a difference."""
    here = tracking.environment()
    libraries = [
        f"{name.removeprefix('version/')} {here.get(name, 'absent')} instead of {then}"
        for name, then in card.environment.items()
        if here.get(name) != then
    ]
    found = []
    if code.digest() != card.code_sha256:
        dirty = card.code_commit.endswith(code.DIRTY)
        reason = " It was trained from a checkout with uncommitted changes, which no commit holds." if dirty else ""
        found.append(f"The code is not the one of {card.code_commit}.{reason}")
    if code.lock_digest() != card.lock_sha256:
        found.append("requirements.lock is another one.")
    if libraries:
        found.append(f"Libraries differ: {', '.join(libraries)}.")
    return found or ["Code, lock file and libraries are the same."]
