"""Steps that judge a challenger and make it live."""

from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.contract import EVENT, UseCase
from esteira.errors import InputError, MissingData, ReleaseError
from esteira.model_card import CONSTANT, Frozen, ModelCard
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.stores import bentos, features, ledger, models, tables, verdicts
from esteira.stores.verdicts import GATE
from esteira.training.gate import Check, Verdict, judge, with_check
from esteira.training.labels import OUTCOME, label_entities
from flows.steps.announce import announce
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
    challenger was trained on the offline path.
    """
    declared = use_cases.get(use_case)
    model = models.load(use_case, challenger)
    card = model.card
    rows = _holdout(declared, card)
    live = ledger.live(use_case) if ledger.is_released(use_case) else None
    judged = judge(
        declared.gate,
        declared.kind,
        outcomes=rows[OUTCOME].to_numpy(),
        challenger=_score(Predictor(card, model.pipeline), rows, declared),
        champion=_score(_as_served(live), rows, declared) if live else None,
        baseline=card.baseline[CONSTANT],
        days=rows[EVENT].dt.date().to_numpy(),
        slices={name: rows[name].to_list() for name in declared.slices},
        allowed=card.bounds,
        trained_until=card.trained_until,
        judged_from=card.holdout_from,
        seed=card.seed,
    )
    verdict = with_check(judged, _parity(declared, as_of)) if live else judged
    verdicts.record(use_case, GATE, challenger, as_of, verdict.model_dump(mode="json"))
    return Judgement(verdict=verdict, against=live.id if live else 0)


@step
def release_challenger(use_case: str, challenger: str, judgement: Judgement, as_of: datetime) -> ledger.Release:
    """Package a challenger that passed and make it live, following the release it was judged against.

    Doing it again changes nothing. Raises ReleaseError for a verdict that did not pass, LedgerMoved when another
    release went live since it was judged.
    """
    verdict = judgement.verdict
    if not verdict.passed:
        broken = [check.sentence for check in verdict.checks if not check.passed]
        raise ReleaseError(
            f"Model {challenger!r} did not pass its gate and cannot be released. {verdict.sentences[0]} "
            + " ".join(broken)
        )
    model = models.load(use_case, challenger)
    if ledger.is_released(use_case) and ledger.live(use_case).card_sha256 == model.card_sha256:
        release = ledger.live(use_case)
    else:
        proposal = ledger.Proposal(
            use_case=use_case,
            model_version=challenger,
            card_sha256=model.card_sha256,
            feature_service=model.card.feature_service,
            epoch=f"{challenger}-after-{judgement.against}",
            # What was judged is what is served: the card's rules, whatever the declaration says by now.
            threshold=model.card.threshold,
            bounds=model.card.bounds,
            rules=model.card.rules,
            actor=GATE,
            reason=f"{verdict.sentences[0]} {model.card.cause}",
            evidence=verdict.model_dump(mode="json"),
            released_at=as_of,
        )
        bentos.build(use_case, proposal)  # first, so that whatever is live can be served from its bento
        release = ledger.append(proposal, follows=judgement.against)
    announce(release)
    return release


def _as_served(release: ledger.Release) -> Predictor:
    model = models.load(release.use_case, release.model_version, card_sha256=release.card_sha256)
    return Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, release))


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
