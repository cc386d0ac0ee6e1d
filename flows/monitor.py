"""Look at what was served and what came of it, and decide whether the live release may stay."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from esteira.monitoring.policy import Verdict, WindowFacts
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import monitoring as steps
from flows.steps import parity


class Monitored(Frozen):
    """What one run of monitor saw, decided and did."""

    use_case: str
    as_of: datetime
    collected: int
    windows: tuple[WindowFacts, ...]
    skew: parity.Skew
    verdict: Verdict
    done: str


@flow(name="monitor", flow_run_name="monitor-{use_case}")
def monitor(use_case: str, as_of: datetime | None = None) -> Monitored:
    """Predictions to profiles and outcomes to a verdict, and the verdict to a deed.

    1. Collect what services logged.
    2. Profile the recent windows, measure drift, judge matured outcomes.
    3. Replay logged requests through the offline path and compare every value.
    4. Decide: keep, watch, retrain or roll back.
    5. Ring for the retrain, or roll back.
    """
    moment = moment_of_run(as_of)
    collected = steps.collect_predictions(use_case)
    windows = steps.look_at_windows(use_case, moment)
    skew = parity.audit_skew(use_case, moment)
    verdict = steps.decide_about(use_case, windows, moment)
    done = steps.act_on(use_case, verdict)
    monitored = Monitored(
        use_case=use_case,
        as_of=moment,
        collected=collected,
        windows=tuple(windows),
        skew=skew,
        verdict=verdict,
        done=done,
    )
    publish(
        "monitored",
        f"{verdict.action}: {use_case} at {moment:%Y-%m-%d %H:%M} UTC",
        verdict,
        sentences=(*skew.sentences, done),
    )
    return monitored
