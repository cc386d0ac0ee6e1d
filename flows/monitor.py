"""Look at what was served and what came of it, and decide whether the live release may stay."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from esteira.monitoring.comparison import Comparison
from esteira.monitoring.policy import Verdict, WindowFacts
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import monitoring as steps
from flows.steps import parity, traffic
from flows.steps.data import require_ingested
from flows.steps.plugged import run_plugged


class Monitored(Frozen):
    """What one run of monitor saw, decided and did."""

    use_case: str
    as_of: datetime
    collected: int
    windows: tuple[WindowFacts, ...]
    skew: parity.Skew
    verdict: Verdict
    done: str
    challenger: Comparison | None = None
    """How a challenger beside the champion does, if there is one."""


@flow(name="monitor", flow_run_name="monitor-{use_case}")
def monitor(use_case: str, as_of: datetime | None = None) -> Monitored:
    """Predictions to profiles and outcomes to a verdict, and the verdict to a deed.

    1. Require that data was ingested up to ``as_of``, and note which release is live.
    2. Collect what services logged.
    3. Profile each hour that has new rows, measure drift over the recent windows, judge matured outcomes.
    4. Replay logged requests through the offline path and compare every value.
    5. Decide: keep, watch, retrain or roll back.
    6. Open and deliver alerts of what a person must look at.
    7. Ring for the retrain, or roll back, if that release is still live.
    8. Compare a challenger beside it, and take it away if it does harm.
    """
    moment = moment_of_run(as_of)
    require_ingested(use_case, moment)
    judged = steps.live_release(use_case)
    collected = steps.collect_predictions(use_case)
    steps.profile_hours(use_case, judged, moment)
    windows = steps.look_at_windows(use_case, judged, moment)
    skew = parity.audit_skew(use_case, moment)
    verdict = steps.decide_about(use_case, judged, windows, skew, moment)
    steps.raise_alarms(use_case, judged, verdict)
    done = steps.act_on(use_case, judged, verdict)
    compared = traffic.compare_challenger(use_case, moment)
    said = traffic.stop_on_harm(use_case, compared, moment)
    monitored = Monitored(
        use_case=use_case,
        as_of=moment,
        collected=collected,
        windows=tuple(windows),
        skew=skew,
        verdict=verdict,
        done=done,
        challenger=compared,
    )
    publish(
        "monitored",
        f"{verdict.action}: {use_case} at {moment:%Y-%m-%d %H:%M} UTC",
        verdict,
        sentences=(*skew.sentences, done, *said),
        plugged=run_plugged("monitor", use_case, moment, monitored),
    )
    return monitored
