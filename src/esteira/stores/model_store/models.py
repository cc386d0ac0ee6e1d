"""The model store: BentoML's, written whole or not at all, and read only after every digest is verified.

A model is one folder ``<use case>/<version>`` of files and a card that names the SHA-256 of each. BentoML's own save
is not atomic and its ``latest`` is a moving target: folders are staged beside the store and renamed into it, and no
``latest`` is ever written. What is live is the ledger's to say.
"""

import hashlib
import io
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from esteira.errors import AlteredModel, ModelError
from esteira.model_card import ModelCard
from esteira.settings import prepare_environment, settings
from esteira.stores.model_store.cards import CARD as CARD  # noqa: PLC0414 - callers have them from here
from esteira.stores.model_store.cards import cards as cards  # noqa: PLC0414
from esteira.stores.model_store.cards import existing, folder, parse_card, read
from esteira.stores.model_store.cards import versions as versions  # noqa: PLC0414
from esteira.stores.model_store.model_files import ESTIMATOR, PIPELINE, TREES, build_pipeline, dump_pipeline

_INDEX = "model.yaml"
_TIMED = 200
_OWN = {PIPELINE, TREES, ESTIMATOR}
"""The files that are the model itself; the rest is attached to it."""


@dataclass(frozen=True)
class Model:
    """A verified model: its card, its fitted pipeline, where it lies and what is attached to it."""

    card: ModelCard
    card_sha256: str
    pipeline: Pipeline
    path: Path
    attachments: Mapping[str, bytes]


def name_version(pipeline: Pipeline, as_of: datetime) -> str:
    """Name a model by its moment and its bytes, e.g. ``2013-03-01-4f9a0c21be``: the same model, the same name."""
    return _version(dump_pipeline(pipeline), as_of)


def tag(card: ModelCard) -> str:
    """BentoML's name for a model."""
    return f"{card.use_case}:{card.version}"


@dataclass(frozen=True)
class Measured:
    """The size of a model's own files, and how long one row takes in milliseconds once it is loaded, on one thread."""

    size_bytes: int
    one_row_ms: float
    one_row_ms_p99: float


def measure(pipeline: Pipeline, rows: pd.DataFrame) -> Measured:
    """Measure a fitted pipeline as it will be served, on single ``rows`` of untransformed features."""
    own = dump_pipeline(pipeline)
    rebuilt = build_pipeline(own)
    singles = [rows.iloc[[place % len(rows)]].to_dict("list") for place in range(_TIMED)]
    predict = getattr(rebuilt[-1], "predict_proba", None) or rebuilt[-1].predict
    lasted = []
    for values in singles:
        started = time.perf_counter()
        predict(rebuilt[0].encode_columns(values))
        lasted.append((time.perf_counter() - started) * 1000)
    return Measured(
        size_bytes=sum(map(len, own.values())),
        one_row_ms=float(np.median(lasted)),
        one_row_ms_p99=float(np.quantile(lasted, 0.99)),
    )


def save(pipeline: Pipeline, card: ModelCard, attachments: Mapping[str, bytes]) -> ModelCard:
    """Store a model with its card and attachments, whole or not at all; return the card completed with digests.

    Saving the same pipeline under the same version again changes nothing and returns the stored card.

    Raises ModelError when the version exists with another pipeline, or an attachment's name is not a plain file name.
    """
    own = dump_pipeline(pipeline)
    for name in attachments:
        if Path(name).name != name or name in {*_OWN, CARD, _INDEX} or name.startswith("."):
            raise ModelError(f"An attachment cannot be named {name!r}. Choose a plain file name such as reference.bin.")
    files = {**own, **attachments, _INDEX: _index(card)}
    completed = card.model_copy(update={"files": {name: _digest(files[name]) for name in sorted(files)}})
    target = folder(card.use_case, card.version)
    staged = settings().bentoml_path / "staging" / uuid.uuid4().hex
    staged.mkdir(parents=True)
    try:
        for name, content in {**files, CARD: completed.model_dump_json(indent=2).encode()}.items():
            _write(staged / name, content)
        _sync(staged)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.rename(target)
        except OSError:  # somebody was first: a folder with content is never replaced
            return _existing(target, completed)
        _sync(target.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return completed


def load(use_case: str, version: str, *, card_sha256: str | None = None) -> Model:
    """Read a stored model after verifying it, its card too when ``card_sha256`` (the ledger's) is given.

    Raises UnknownName when it is not there, AlteredModel naming the file that differs.
    """
    return load_from(existing(use_case, version), card_sha256=card_sha256)


def differing_files(pipeline: Pipeline, card: ModelCard) -> dict[str, tuple[str, str]]:
    """The model's own files whose SHA-256 differs from the card's when ``pipeline`` is written: name -> card's, found.

    Empty when both are the same model, byte for byte.
    """
    found = {name: _digest(content) for name, content in dump_pipeline(pipeline).items()}
    names = sorted({*found, *(_OWN & card.files.keys())})
    both = {name: (card.files.get(name, "no file"), found.get(name, "no file")) for name in names}
    return {name: digests for name, digests in both.items() if digests[0] != digests[1]}


def load_from(path: Path, *, card_sha256: str | None = None) -> Model:
    """As ``load``, from a folder: the store's own or the copy packed into a bento."""
    written = read(path, CARD)
    found = _digest(written)
    if card_sha256 is not None and found != card_sha256:
        raise _altered(path, CARD, card_sha256, found)
    card = parse_card(path, written)
    unlisted = sorted({each.name for each in path.iterdir()} - {*card.files, CARD})
    misplaced = sorted(name for name in card.files if Path(name).name != name)
    if unlisted or misplaced or PIPELINE not in card.files:
        raise AlteredModel(
            f"Model folder {path} does not hold what its card lists: {unlisted} are not listed, {sorted(card.files)} "
            "are. It was not loaded. Restore it from a copy, or roll back to another release."
        )
    files = {name: read(path, name) for name in card.files}
    for name, content in files.items():
        if _digest(content) != card.files[name]:
            raise _altered(path, name, card.files[name], _digest(content))
    return Model(
        card=card,
        card_sha256=found,
        pipeline=build_pipeline(files),
        path=path,
        attachments={name: content for name, content in files.items() if name not in {*_OWN, _INDEX}},
    )


def remove(use_case: str, version: str) -> None:
    """Remove a stored model and the bentos that were built of it; nobody sees half a model. Removing twice is once."""
    bentos = settings().bentoml_path / "bentos" / use_case
    for path in (folder(use_case, version), *bentos.glob(f"{version}-*")):
        if path.is_dir():
            doomed = settings().bentoml_path / "staging" / uuid.uuid4().hex
            doomed.parent.mkdir(parents=True, exist_ok=True)
            path.rename(doomed)
            shutil.rmtree(doomed)


def _version(own: Mapping[str, bytes], as_of: datetime) -> str:
    listed = "".join(f"{name}:{_digest(own[name])}\n" for name in sorted(own))
    return f"{as_of:%Y-%m-%d}-{_digest(listed.encode())[:10]}"


def _index(card: ModelCard) -> bytes:
    """BentoML's own description of the model, by which its command line and its builds find it."""
    prepare_environment()  # BentoML reads its home when it is imported
    from bentoml import Tag  # noqa: PLC0415 - takes seconds
    from bentoml._internal.models.model import ModelContext, ModelInfo  # noqa: PLC0415

    info = ModelInfo(
        tag=Tag(card.use_case, card.version),
        module=__name__,
        labels={"use_case": card.use_case, "candidate": card.candidate},
        options={},
        metadata={"as_of": card.as_of.isoformat(), "run_id": card.run_id},
        context=ModelContext(framework_name="", framework_versions={}),
        signatures={},
        api_version="v1",
        creation_time=card.as_of,
    )
    text = io.StringIO()
    info.dump(text)
    return text.getvalue().encode()


def _existing(target: Path, wanted: ModelCard) -> ModelCard:
    stored = parse_card(target, read(target, CARD))
    for name in sorted(_OWN & (stored.files.keys() | wanted.files.keys())):
        if stored.files.get(name) != wanted.files.get(name):
            raise ModelError(
                f"Model {tag(wanted)} exists with another {name} (SHA-256 {stored.files.get(name)}, not "
                f"{wanted.files.get(name)}). A version is never replaced: name the new one by name_version."
            )
    return stored


def _altered(path: Path, name: str, expected: str, found: str) -> AlteredModel:
    return AlteredModel(
        f"File {name!r} of the model in {path} has the SHA-256 {found}, but {expected} was recorded. "
        "It was not loaded. Restore the file from a copy, or roll back to another release."
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
