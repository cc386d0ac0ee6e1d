"""Steps that look at what was served, decide what to do about it, and do it."""

from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.contract import CREATED, EVENT, PRIMARY, UseCase
from esteira.errors import MissingData
from esteira.model_card import REFERENCE, THRESHOLDS, Column, ModelCard
from esteira.monitoring.drift import PREDICTION, Thresholds, measure
from esteira.monitoring.outcomes import join_outcomes
from esteira.monitoring.policy import Alarm, Situation, Verdict, WindowFacts, decide
from esteira.monitoring.profile import read_profile
from esteira.monitoring.quality import judge_quality
from esteira.stores.answers import outcomes, predictions
from esteira.stores.data import tables
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import GATE, MONITOR
from esteira.stores.monitoring import alerts, hours, retrain_requests
from esteira.stores.monitoring.retrain_requests import RetrainRequest
from esteira.stores.releases import ledger, restoring
from esteira.stores.stewardship import sensitivity
from flows.events import RETRAIN_REQUESTED, ring
from flows.steps.announce import announce
from flows.steps.health import with_health
from flows.steps.parity import Skew
from flows.steps.step import step


@step
def collect_predictions(use_case: str) -> int:
    """Move what services logged since the last time into tables; return how many predictions there were."""
    outcomes.collect(use_case)
    return predictions.collect(use_case)


@step
def live_release(use_case: str) -> int:
    """The release this run is about: what is decided is done only while it is live. Raises NoRelease."""
    return ledger.live(use_cases.get(use_case).name).id


@step
def profile_hours(use_case: str, judged: int, as_of: datetime) -> int:
    """Bring the hourly profiles of what the judged release's model served lately up to date; return how many changed.

    Predictions of the last hour that is not over wait for the next run.
    """
    declared = use_cases.get(use_case)
    card = _model(use_case, judged).card
    until = hours.last_whole(as_of)
    after = until - declared.monitor.windows * declared.monitor.window
    served = _served(use_case, card.version, after, until)
    computed = served.filter(pl.col("source") == "computed")  # only of these does the log have the features
    segment = declared.monitor.segment
    rows = sensitivity.mask(_features(computed, card)).with_columns(
        computed["as_of"],
        computed["release"],
        (computed["inputs"].str.json_path_match(f"$.{segment}") if segment else pl.lit(None, pl.String)).alias(
            hours.SEGMENT
        ),
    )
    return hours.profile_hours(use_case, rows, _profiled(card), after=after, until=until)


@step
def look_at_windows(use_case: str, judged: int, as_of: datetime) -> list[WindowFacts]:
    """Measure the drift of the judged release's recent windows from hourly profiles; judge what outcomes are known."""
    declared = use_cases.get(use_case)
    model = _model(use_case, judged)
    thresholds = Thresholds.model_validate_json(model.attachments[THRESHOLDS])
    reference = read_profile(model.attachments[REFERENCE])
    limits = declared.monitor
    until = hours.last_whole(as_of)
    served = _served(use_case, model.card.version, until - limits.windows * limits.window, until)
    releases = served["release"].unique().to_list()
    happened = known_outcomes(declared, as_of)
    facts = []
    for place in range(limits.windows, 0, -1):
        start, end = until - place * limits.window, until - (place - 1) * limits.window
        window = served.filter((pl.col("as_of") > start) & (pl.col("as_of") <= end))
        profile = hours.profile_of(use_case, releases, start, end)
        drift = profile and measure(reference, read_profile(profile), thresholds, model.card.importances)
        quality = None
        if window.height:
            joined = join_outcomes(window, happened, as_of=as_of, maturity=limits.outcome_maturity)
            quality = judge_quality(joined, declared.kind, minimum_rows=limits.minimum_rows // 2)
        facts.append(WindowFacts(start=start, end=end, rows=window.height, drift=drift or None, quality=quality))
    return facts


@step
def decide_about(use_case: str, judged: int, windows: list[WindowFacts], skew: Skew, as_of: datetime) -> Verdict:
    """Decide whether the judged release is kept, watched, retrained or rolled back, and keep the verdict.

    Skew without explanation is never kept quiet: the least it leads to is watch. A fresh release that breaks the health
    rule is rolled back at once.
    """
    declared = use_cases.get(use_case)
    release = ledger.release(use_case, judged)
    card = _model(use_case, judged).card
    metric = PRIMARY[declared.kind]
    situation = Situation(
        metric=metric,
        expected=card.metrics[metric],
        model_as_of=card.as_of,
        released_at=ledger.live_since(release),
        has_earlier_release=ledger.before(release) != 0,
        retrains_requested_at=tuple(each.as_of for each in retrain_requests.asked_by(use_case)),
        refused_in_a_row=_refused_since(use_case, ledger.live_since(release)),
    )
    verdict = decide(declared.monitor, windows, situation, as_of=as_of)
    if skew.unexplained:
        action = "watch" if verdict.action == "keep" else verdict.action
        alarm = Alarm(matter="skew", severity="critical", sentence=skew.sentences[0])
        verdict = verdict.model_copy(
            update={
                "action": action,
                "sentences": (*verdict.sentences, *skew.sentences),
                "alarms": (*verdict.alarms, alarm),
            }
        )
    since = ledger.live_since(release)
    served = _served(use_case, release.model_version, since, as_of)
    joined = join_outcomes(
        served, known_outcomes(declared, as_of), as_of=as_of, maturity=declared.monitor.outcome_maturity
    )
    verdict = with_health(verdict, declared, release, card, joined, as_of)
    verdicts.record(use_case, MONITOR, release.model_version, as_of, verdict.model_dump(mode="json"))
    return verdict


@step
def raise_alarms(use_case: str, judged: int, verdict: Verdict) -> int:
    """Open an alert for each alarm of the verdict and deliver what waits; return how many were opened.

    A matter of a release is one alert until somebody has seen to it, however often the monitor runs.
    """
    release = ledger.release(use_case, judged)
    owner = use_cases.get(use_case).owner
    opened = [
        alerts.open_alert(
            alerts.Alert(
                key=f"{each.matter} {use_case} {judged}", severity=each.severity, owner=owner, use_case=use_case,
                subject=release.model_version, sentence=each.sentence, opened_at=verdict.as_of,
                link=f"esteira verdicts show {use_case} {release.model_version}",
            )
        )
        for each in verdict.alarms
    ]  # fmt: skip
    alerts.deliver()
    return sum(opened)


@step
def act_on(use_case: str, judged: int, verdict: Verdict) -> str:
    """Do what the verdict says: ring for a retrain, roll back, or nothing; return what was done.

    Doing it again does nothing new: what was decided about one release is not done to another.
    """
    reason = " ".join(verdict.sentences)
    live = ledger.live(use_case)
    if live.id != judged:
        return f"nothing, because release {live.id} is live by now"
    match verdict.action:
        case "retrain":
            return _ask_for_retrain(use_case, judged, verdict.as_of, reason)
        case "roll back":
            restored = restoring.roll_back(
                use_case, undoes=judged, to=None, actor=MONITOR, reason=reason, at=verdict.as_of
            )
            announce(restored)
            return f"rolled back to {restored.model_version} as release {restored.id}"
        case _:
            return "nothing"


def known_outcomes(declared: UseCase, as_of: datetime) -> pl.DataFrame:
    """What the source shows and what was reported; join_outcomes takes what became known last."""
    known = declared.build_outcomes(tables.read_known(declared.outcome_reads, as_of))
    reported = outcomes.read_reported(declared.name, until=as_of)
    columns = {name: known.schema[name] for name in ("outcome", EVENT, CREATED)}
    seen = known.select(pl.col(declared.entity_id).cast(pl.String).alias("entity_id"), *columns)
    return pl.concat([seen, reported.select("entity_id", *columns).cast(columns)])  # type: ignore[arg-type]


def _ask_for_retrain(use_case: str, judged: int, as_of: datetime, reason: str) -> str:
    key = f"{use_case}-after-release-{judged}-{as_of:%Y%m%dT%H%M}"
    retrain_requests.ask(RetrainRequest(key=key, use_case=use_case, as_of=as_of, reason=reason))
    if answer := retrain_requests.answered_by(key):
        return f"request {key} was answered by {answer} before"
    ring(RETRAIN_REQUESTED, use_case, as_of, request=key)
    return f"asked for a retrain: {key}"


def _served(use_case: str, model_version: str, after: datetime, until: datetime) -> pl.DataFrame:
    try:
        served = predictions.read_predictions(use_case, after, until)
    except MissingData:  # a release nobody has asked anything yet has windows without traffic
        return pl.DataFrame(schema=predictions.PREDICTIONS)
    return served.filter(pl.col("model_version") == model_version)


def _model(use_case: str, judged: int) -> models.Model:
    release = ledger.release(use_case, judged)
    return models.load(use_case, release.model_version, card_sha256=release.card_sha256)


def _profiled(card: ModelCard) -> tuple[Column, ...]:
    return (*card.columns, Column(name=PREDICTION, type="number", view=PREDICTION))


def _features(window: pl.DataFrame, card: ModelCard) -> pl.DataFrame:
    types = pl.Struct({each.name: pl.Float64() if each.type == "number" else pl.String() for each in card.columns})
    return window.select(pl.col("features").str.json_decode(types).struct.unnest(), pl.col(PREDICTION))


def _refused_since(use_case: str, moment: datetime) -> int:
    judged = [(subject, verdict) for subject, as_of, verdict in verdicts.recorded(use_case, GATE) if as_of > moment]
    passed = [place for place, (_, verdict) in enumerate(judged) if verdict["passed"]]
    since = judged[passed[-1] + 1 :] if passed else judged
    return len({subject for subject, _ in since})  # a challenger that was judged again was refused once
