"""Remove what is older than its use case keeps it, and tell what was kept all the same."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import retention as steps


class Retained(Frozen):
    """What one run of retain removed, and what it kept although it is old."""

    use_case: str
    as_of: datetime
    rows_removed: dict[str, int]
    items_removed: int
    items_kept: int
    sentences: tuple[str, ...]


@flow(name="retain", flow_run_name="retain-{use_case}")
def retain(use_case: str, as_of: datetime | None = None) -> Retained:
    """Old rows and items to nothing, except what the champion, the release before it or a hold needs.

    1. Remove the rows that are older than every use case of their table keeps them.
    2. Remove old models, training sets, profiles and cached predictions that nothing needs.
    """
    moment = moment_of_run(as_of)
    rows = steps.expire_rows(use_case, moment)
    decisions = steps.retain_items(use_case, moment)
    retained = Retained(
        use_case=use_case,
        as_of=moment,
        rows_removed=rows,
        items_removed=sum(each.removed for each in decisions),
        items_kept=sum(not each.removed for each in decisions),
        sentences=tuple(f"{each.item}: {each.reason}" for each in decisions),
    )
    publish("retained", f"Retention until {moment:%Y-%m-%d %H:%M} UTC", retained)
    return retained
