"""Steps that judge a challenger and make it live."""

from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.contract import EVENT, UseCase
from esteira.errors import MissingData, ReleaseError
from esteira.model_card import ModelCard
from esteira.serving.predictor import Predictor
from esteira.stores import bentos, features, ledger, models, tables, tracking
from esteira.training.card import CONSTANT
from esteira.training.gate import Verdict, judge
from esteira.training.labels import OUTCOME, label_entities
from flows.events import RELEASED, ring
from flows.steps.step import step

GATE = "gate"


@step
def resolve_challenger(use_case: str, challenger: str | None) -> str:
    """The named model, or the newest one; raises MissingData when the use case has no model at all."""
    stored = models.versions(use_cases.get(use_case).name)
    if challenger is None and not stored:
        raise MissingData(
            f"Use case {use_case!r} has no model to judge. Train one: make flow FLOW=train USE_CASE={use_case} AS_OF=…"
        )
    return models.load(use_case, challenger or stored[-1]).card.version


@step
def judge_challenger(use_case: str, challenger: str, as_of: datetime) -> Verdict:
    """Score challenger and champion on the challenger's holdout and judge them; keep the verdict either way."""
    declared = use_cases.get(use_case)
    model = models.load(use_case, challenger)
    card = model.card
    rows = _holdout(declared, card)
    champion = None
    if ledger.is_released(use_case):
        live = ledger.live(use_case)
        champion = models.load(use_case, live.model_version, card_sha256=live.card_sha256)
    verdict = judge(
        declared.gate,
        declared.kind,
        outcomes=rows[OUTCOME].to_numpy(),
        challenger=_score(Predictor(card, model.pipeline), rows, declared),
        champion=_score(Predictor(champion.card, champion.pipeline), rows, declared) if champion else None,
        baseline=card.baseline[CONSTANT],
        days=rows[EVENT].dt.date().to_numpy(),
        slices={name: rows[name].to_list() for name in declared.slices},
        allowed=declared.bounds,
        trained_until=card.trained_until,
        judged_from=card.holdout_from,
        seed=card.seed,
    )
    ledger.record_verdict(use_case, GATE, challenger, as_of, verdict.model_dump(mode="json"))
    return verdict


@step
def release_challenger(use_case: str, challenger: str, verdict: Verdict, as_of: datetime) -> ledger.Release:
    """Package a challenger that passed and make it live, following what was live when it was judged.

    Doing it again changes nothing. Raises ReleaseError for a verdict that did not pass.
    """
    if not verdict.passed:
        raise ReleaseError(f"Model {challenger!r} did not pass its gate and cannot be released: {verdict.sentences[0]}")
    declared = use_cases.get(use_case)
    model = models.load(use_case, challenger)
    follows = 0
    if ledger.is_released(use_case):
        live = ledger.live(use_case)
        if live.card_sha256 == model.card_sha256:
            return live
        follows = live.id
    proposal = ledger.Proposal(
        use_case=use_case,
        model_version=challenger,
        card_sha256=model.card_sha256,
        feature_service=model.card.feature_service,
        epoch=f"{challenger}-after-{follows}",
        threshold=declared.threshold,
        bounds=declared.bounds,
        actor=GATE,
        reason=f"{verdict.sentences[0]} {model.card.cause}",
        evidence=verdict.model_dump(mode="json"),
        released_at=as_of,
    )
    bentos.build(use_case, proposal)  # first, so that whatever is live can be served from its bento
    release = ledger.append(proposal, follows=follows)
    tracking.mark_alias(use_case, challenger, "champion")
    ring(RELEASED, use_case, as_of, release=str(release.id), model_version=challenger)
    return release


def _holdout(declared: UseCase, card: ModelCard) -> pl.DataFrame:
    """The challenger's holdout rows with the features of its service, as they were known when it was trained."""
    raw = tables.read_known(sorted({*declared.entity_reads, *declared.outcome_reads}), card.as_of)
    labelled = label_entities(declared, declared.build_entities(raw), declared.build_outcomes(raw), as_of=card.as_of)
    held_out = labelled.filter((pl.col(EVENT) >= card.holdout_from) & (pl.col(EVENT) <= card.holdout_until))
    return features.build_training_set(card.feature_service, held_out)


def _score(predictor: Predictor, rows: pl.DataFrame, declared: UseCase) -> list[float]:
    wanted = [column.name for column in predictor.card.columns]
    if any(name not in rows.columns for name in wanted):
        entities = rows.select(*declared.entity_keys, declared.entity_id, *declared.request_inputs, EVENT)
        rows = features.build_training_set(predictor.card.feature_service, entities)
    scores: list[float] = predictor.predict(rows.select(wanted).to_dict(as_series=False)).tolist()
    return scores
