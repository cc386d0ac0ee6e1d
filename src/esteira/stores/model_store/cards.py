"""The cards of stored models: read without what the models themselves need, which takes seconds to import."""

from pathlib import Path

from pydantic import ValidationError

from esteira.errors import AlteredModel, ModelError, UnknownName
from esteira.model_card import ModelCard
from esteira.settings import settings

CARD = "card.json"


def card(use_case: str, version: str) -> ModelCard:
    """The card of one stored model; only ``models.load`` verifies the model. Raises UnknownName, AlteredModel."""
    path = existing(use_case, version)
    return parse_card(path, read(path, CARD))


def existing(use_case: str, version: str) -> Path:
    """Where a stored model is. Raises UnknownName when it is not."""
    path = folder(use_case, version)
    if not path.is_dir():
        raise UnknownName.among(
            f"version of model {use_case!r}", version, versions(use_case), f"They are kept in {path.parent}."
        )
    return path


def cards(use_case: str) -> list[ModelCard]:
    """The cards of a use case's stored models, in the order of ``versions``; the models are not verified."""
    found = [folder(use_case, version) for version in versions(use_case)]
    return [parse_card(each, read(each, CARD)) for each in found]


def versions(use_case: str) -> list[str]:
    """The stored versions of a use case's models, by the day of their ``as_of``, then as they were saved."""
    path = settings().bentoml_path / "models" / use_case
    stored = [each for each in path.iterdir() if each.is_dir()] if path.is_dir() else []
    return [each.name for each in sorted(stored, key=lambda each: (each.name[:10], each.stat().st_mtime_ns))]


def folder(use_case: str, version: str) -> Path:
    """Where a model is, or would be. Raises ModelError for a name that none can have."""
    for part in (use_case, version):
        if not part or Path(part).name != part or part.startswith(".") or part == "latest":
            raise ModelError(f"A model cannot be named {use_case!r} {version!r}. Name it as its card does.")
    return settings().bentoml_path / "models" / use_case / version


def parse_card(path: Path, written: bytes) -> ModelCard:
    """The card in ``written``, the bytes of a file in ``path``. Raises AlteredModel."""
    try:
        return ModelCard.model_validate_json(written)
    except ValidationError as error:
        raise AlteredModel(
            f"The card {path / CARD} cannot be read: {error.error_count()} fields are wrong, first "
            f"{error.errors()[0]['loc']}. Restore it from a copy, or roll back to another release."
        ) from error


def read(path: Path, name: str) -> bytes:
    """One file of the model in ``path``. Raises AlteredModel."""
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise AlteredModel(
            f"File {name!r} of the model in {path} cannot be read: {error.strerror}. "
            "Restore it from a copy, or roll back to another release."
        ) from error
