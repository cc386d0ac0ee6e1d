"""Steps that find the model to judge and judge it against what is live."""

from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.contract import EVENT, UseCase
from esteira.errors import EsteiraError, InputError, MissingData, ReleaseError
from esteira.model_card import CONSTANT, Frozen, ModelCard
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE
from esteira.stores.monitoring import alerts
from esteira.stores.releases import ledger
from esteira.training.gate import judge
from esteira.training.labels import OUTCOME, label_entities
from esteira.training.verdict import Check, Verdict, with_checks
from flows.steps.parity import audit_skew
from flows.steps.step import step


class Judgement(Frozen):
    """A verdict, and the release whose champion the challenger was compared with; 0 when nothing was released."""

    verdict: Verdict
    against: int


@step
def resolve_challenger(use_case: str, challenger: str | None, as_of: datetime) -> str | None:
    """The named model, or the newest one nobody has judged yet; None when every model has been judged.

    Raises MissingData when there is no model at all, InputError for one that knows more than ``as_of`` did.
    """
    stored = models.versions(use_cases.get(use_case).name)
    if challenger is not None:
        card = models.load(use_case, challenger).card
        if card.as_of > as_of:
            raise InputError(
                f"Model {challenger!r} knows data until {card.as_of.isoformat()} and cannot be judged as of "
                f"{as_of.isoformat()}. Choose a later as_of."
            )
        return card.version
    if not stored:
        raise MissingData(
            f"Use case {use_case!r} has no model to judge. Train one: make flow FLOW=train USE_CASE={use_case} AS_OF=…"
        )
    judged = {subject for subject, _, _ in verdicts.recorded(use_case, GATE)}
    cards = [models.load(use_case, version).card for version in stored if version not in judged]
    known = [card for card in cards if card.as_of <= as_of]
    return max(known, key=lambda card: card.as_of).version if known else None


@step
def judge_challenger(use_case: str, challenger: str, as_of: datetime) -> Judgement:
    """Score challenger and champion on the challenger's holdout and judge them; keep the verdict either way.

    While the live release is seen to be served other features than the offline path gives, nothing follows it: the
    challenger was trained on the offline path. A refusal opens an alert that links to the verdict.

    Raises ReleaseError when the champion cannot be loaded and verified: nothing is judged against what is not known.
    """
    declared = use_cases.get(use_case)
    model = models.load(use_case, challenger)
    card = model.card
    live = ledger.live(use_case) if ledger.is_released(use_case) else None
    champion = _champion(declared, live, challenger, as_of) if live else None
    rows = _holdout(declared, card)
    judged = judge(
        declared.gate,
        declared.kind,
        outcomes=rows[OUTCOME].to_numpy(),
        challenger=_score(Predictor(card, model.pipeline), rows, declared),
        champion=_score(champion, rows, declared) if champion else None,
        baseline=card.baseline[CONSTANT],
        days=rows[EVENT].dt.date().to_numpy(),
        slices={name: rows[name].to_list() for name in declared.slices},
        groups={limit.column: rows[limit.column].to_list() for limit in declared.gate.fairness},
        allowed=card.bounds,
        trained_until=card.trained_until,
        judged_from=card.holdout_from,
        seed=card.seed,
        threshold=card.threshold if declared.kind == "binary" else None,
        one_row_ms=card.one_row_ms,
        size_bytes=card.size_bytes,
    )
    verdict = with_checks(judged, [_parity(declared, as_of)]) if live else judged
    verdicts.record(use_case, GATE, challenger, as_of, verdict.model_dump(mode="json"))
    if not verdict.passed:
        alert_of_refusal(declared, challenger, verdict, as_of)
    return Judgement(verdict=verdict, against=live.id if live else 0)


def alert_of_refusal(declared: UseCase, challenger: str, verdict: Verdict, as_of: datetime) -> None:
    """Open the alert that leads from a refused challenger to its evidence."""
    alerts.open_alert(
        alerts.Alert(
            key=f"refused {declared.name} {challenger}", severity="warning", owner=declared.owner,
            use_case=declared.name, subject=challenger, sentence=verdict.sentences[0], opened_at=as_of,
            link=f"esteira verdicts show {declared.name} {challenger}",
        )
    )  # fmt: skip
    alerts.deliver()


def _champion(declared: UseCase, live: ledger.Release, challenger: str, as_of: datetime) -> Predictor:
    """What is live, as it is served; an alert is opened when its model is missing or altered."""
    try:
        model = models.load(live.use_case, live.model_version, card_sha256=live.card_sha256)
    except EsteiraError as error:
        refusal = (
            f"Model {challenger!r} was not judged: the champion {live.model_version!r} of release {live.id} cannot be "
            f"loaded and verified. {error}"
        )
        alerts.open_alert(
            alerts.Alert(
                key=f"champion {live.use_case} {live.id}", severity="critical", owner=declared.owner,
                use_case=live.use_case, subject=live.model_version, sentence=refusal, opened_at=as_of,
                link=f"esteira releases show {live.use_case} {live.id}",
            )
        )  # fmt: skip
        alerts.deliver()
        raise ReleaseError(refusal) from error
    return Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, live))


def _parity(declared: UseCase, as_of: datetime) -> Check:
    """Whether the newest window of served features is what the offline path gives for the same instants."""
    skew = audit_skew.fn(declared.name, as_of)
    share = skew.unexplained / skew.values if skew.values else 0.0
    sentence = (
        f"Of {skew.values:,} feature values served in the {declared.monitor.window.days} days until "
        f"{as_of:%Y-%m-%d %H:%M}, {skew.unexplained:,} ({share:.4%}) differ from the offline path without explanation; "
        f"{declared.gate.mismatch:.4%} is tolerated. {skew.sentences[0]}"
    )
    return Check(name="parity", passed=share <= declared.gate.mismatch, sentence=sentence)


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
    given = rows.select({*declared.entity_keys, *declared.request_inputs} & set(rows.columns)).to_dict(as_series=False)
    scores: list[float] = predictor.predict(rows.select(wanted).to_dict(as_series=False), given).tolist()
    return scores
