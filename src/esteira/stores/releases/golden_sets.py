"""The golden data set of a use case: kept as one file, fixed until renewed, checked by a digest in the audit log."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from esteira import use_cases
from esteira.contract import UseCase
from esteira.errors import MissingData, ReleaseError
from esteira.model_card import GOLDEN, Column
from esteira.rules import Rank
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.settings import settings
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.answers import predictions
from esteira.stores.model_store import models
from esteira.stores.model_store.models import Model
from esteira.stores.releases import ledger
from esteira.stores.releases.ledger import Proposal
from esteira.stores.stewardship import sensitivity
from esteira.stores.whole_files import write_whole
from esteira.traffic import CHAMPION
from esteira.training.golden import ROWS, Golden, GoldenRequests
from esteira.training.service_check import Expected

_ACTION = "recorded golden requests"


def for_release(use_case: UseCase, model: Model, as_of: datetime) -> GoldenRequests:
    """The golden requests a release of ``model`` must answer: the recorded ones; before there are any, its own rows.

    Where enough requests were served until ``as_of`` and none are recorded yet, they are recorded now. Raises
    ReleaseError when the file is not what was recorded.
    """
    if not _path(use_case.name).is_file():
        try:
            record(use_case, as_of, actor="gate", reason="The first requests that were served.")
        except MissingData:
            return _own(use_case, model, as_of)
    return read(use_case.name)


def record(use_case: UseCase, as_of: datetime, *, actor: str, reason: str) -> GoldenRequests:
    """Record requests spread over what was served until ``as_of`` as the golden ones, in place of any before.

    Raises MissingData when fewer than a golden set were computed.
    """
    served = predictions.scan_predictions(use_case.name).filter(
        pl.col("as_of") <= as_of, pl.col("source") == "computed", pl.col("role") == CHAMPION
    )
    logged = served.select("as_of", "prediction_id", "inputs", "features").collect().sort("as_of", "prediction_id")
    if logged.height < ROWS:
        raise MissingData(
            f"Of use case {use_case.name!r} {logged.height} computed predictions are collected until "
            f"{as_of.isoformat()}; {ROWS} are needed for golden requests. Let it serve, then run the monitor flow."
        )
    places = np.unique(np.linspace(0, logged.height - 1, ROWS).astype(int)).tolist()
    hidden = {*sensitivity.restricted_columns(), use_case.entity_id}
    golden = GoldenRequests(
        use_case=use_case.name,
        owner=use_case.owner,
        source=f"{logged.height:,} requests served until {as_of:%Y-%m-%d %H:%M} UTC",
        recorded_at=as_of,
        values=_columns(logged["features"][places], hidden),
        given=_columns(logged["inputs"][places], hidden),
    )
    write_whole(_path(use_case.name), golden.model_dump_json(indent=1).encode())
    audit.record(
        Deed(
            actor=actor, action=_ACTION, subject=f"use case:{use_case.name}", reason=reason,
            details={"sha256": golden.sha256, "rows": golden.rows, "owner": golden.owner}, as_of=as_of,
        )
    )  # fmt: skip
    return golden


def read(use_case: str) -> GoldenRequests:
    """The recorded golden requests. Raises MissingData when there are none, ReleaseError when they were altered."""
    path = _path(use_case)
    if not path.is_file():
        raise MissingData(
            f"Use case {use_case!r} has no golden requests. They are recorded by its first release after requests were "
            f"served, or now: esteira releases golden {use_case} --reason …"
        )
    recorded = audit.entries(subject=f"use case:{use_case}", action=_ACTION)
    expected = recorded[-1].details["sha256"] if recorded else "nothing"
    try:
        golden = GoldenRequests.model_validate_json(path.read_bytes())
        found = golden.sha256
    except ValidationError as error:
        found = f"unreadable, {error.error_count()} fields are wrong"
    if found != expected:
        raise ReleaseError(
            f"The golden requests in {path} are not those recorded: their SHA-256 is {found}, {expected} was recorded. "
            f"Restore the file, or record new ones: esteira releases golden {use_case} --reason …"
        )
    return golden


def fitted_to(golden: GoldenRequests, columns: Sequence[Column]) -> GoldenRequests:
    """The requests as a model of ``columns`` may be asked them: what it does not know is left out, the rest missing."""
    none = [None] * golden.rows
    return golden.model_copy(
        update={"values": {column.name: golden.values.get(column.name, none) for column in columns}}
    )


def predictor(model: Model, released: Proposal) -> Predictor:
    """What answers under a release: its model with its post-processing."""
    return Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, released))


def expected(answering: Predictor, golden: GoldenRequests) -> Expected:
    """What a release's model says to ``golden`` (fitted to it), as a service would tell it."""
    outputs = answering.output(golden.values).tolist()
    told = answering.post_processing.apply(outputs, golden.given)
    return Expected(
        predictions=tuple(None if each.suppressed else each.prediction for each in told),
        bounds=answering.post_processing.bounds,
    )


def compared(use_case: str, one: int, other: int) -> tuple[GoldenRequests, list[tuple[float | None, float | None]]]:
    """What two releases say to the same golden requests; where none are recorded, to the first one's held-out rows.

    Raises UnknownName for an unknown release, AlteredModel for a model that is not what was released.
    """
    releases = [ledger.release(use_case, each) for each in (one, other)]
    stored = [models.load(use_case, each.model_version, card_sha256=each.card_sha256) for each in releases]
    recorded = _path(use_case).is_file()
    declared = use_cases.get(use_case)
    golden = read(use_case) if recorded else _own(declared, stored[0], releases[0].released_at)
    said = [
        expected(predictor(model, release), fitted_to(golden, model.card.columns)).predictions
        for model, release in zip(stored, releases, strict=True)
    ]
    return golden, list(zip(*said, strict=True))


def _own(use_case: UseCase, model: Model, as_of: datetime) -> GoldenRequests:
    if GOLDEN not in model.attachments:
        raise ReleaseError(
            f"Model {model.card.version!r} has no golden rows, and no requests were served yet that its service could "
            "be asked. Let the train flow write it again."
        )
    own = Golden.model_validate_json(model.attachments[GOLDEN])
    conditions = {rule.when.column for rule in model.card.rules if rule.when is not None}
    asked = conditions | {rule.each for rule in model.card.rules if isinstance(rule, Rank) and rule.each is not None}
    return GoldenRequests(
        use_case=use_case.name, owner=use_case.owner, source=f"held-out rows of model {model.card.version}",
        recorded_at=as_of, values=own.values, given={name: [None] * len(own.predictions) for name in sorted(asked)},
    )  # fmt: skip


def _columns(texts: pl.Series, hidden: Collection[str]) -> dict[str, list[Any]]:
    rows = texts.str.json_decode(infer_schema_length=None).struct.unnest()
    return {name: [None] * len(rows) if name in hidden else rows[name].to_list() for name in rows.columns}


def _path(use_case: str) -> Path:
    return settings().home / "golden" / f"{use_case}.json"
