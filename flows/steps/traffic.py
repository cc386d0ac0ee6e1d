"""Steps that look at a challenger beside the champion, and take one away that does harm."""

from datetime import datetime

import polars as pl

from esteira import use_cases
from esteira.errors import MissingData
from esteira.monitoring.comparison import NEEDED, Comparison, compare
from esteira.monitoring.outcomes import join_outcomes
from esteira.stores.answers import predictions
from esteira.stores.model_store.verdicts import MONITOR
from esteira.stores.monitoring import alerts
from esteira.stores.releases import ledger, traffic
from flows.steps.monitoring import known_outcomes
from flows.steps.step import step


@step
def compare_challenger(use_case: str, as_of: datetime) -> Comparison | None:
    """Compare the newest challenger with its champion by what is known at ``as_of``; None when there never was one."""
    declared = use_cases.get(use_case)
    releases = traffic.comparison(use_case)
    beside = {each.id: each.traffic for each in releases if each.traffic is not None}
    if not beside:
        return None
    try:
        logged = predictions.scan_predictions(use_case)
    except MissingData:  # nobody has asked anything yet
        logged = pl.LazyFrame(schema=predictions.PREDICTIONS)
    # Of what was made ahead or by default the challenger has no counterpart.
    asked = (
        logged.filter(pl.col("release").is_in(list(beside)), pl.col("source") == "computed").select(NEEDED).collect()
    )
    maturity = declared.monitor.outcome_maturity
    joined = join_outcomes(asked, known_outcomes(declared, as_of), as_of=as_of, maturity=maturity)
    newest = releases[-1]
    return compare(joined, newest.model_version, beside, kind=declared.kind, bounds=newest.bounds, maturity=maturity)


@step
def stop_on_harm(use_case: str, compared: Comparison | None, as_of: datetime) -> tuple[str, ...]:
    """Take a challenger away that was found worse, and open an alert; return what is to be said of it.

    Nothing is done to another challenger than the one compared, or twice.
    """
    live = ledger.live(use_case)
    if compared is None or live.traffic is None:
        return ()
    same = (live.traffic.challenger, live.traffic.mode) == (compared.challenger, compared.mode)
    if compared.verdict != "worse" or not same:
        return (compared.sentence,)
    ended = traffic.stop(use_case, actor=MONITOR, reason=compared.sentence, at=as_of, undoes=live.id)
    alerts.open_alert(
        alerts.Alert(
            key=f"harm {use_case} {live.id}", severity="critical" if compared.mode == "split" else "warning",
            owner=use_cases.get(use_case).owner, use_case=use_case, subject=compared.challenger,
            sentence=compared.sentence, opened_at=as_of, link=f"esteira ab report {use_case}",
        )
    )  # fmt: skip
    alerts.deliver()
    return compared.sentence, f"Took the challenger {compared.challenger} away by release {ended.id}."
