"""Bring everything that had arrived by a moment into raw tables, feature tables and the online store."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import data as steps
from flows.steps.plugged import run_plugged


class Ingested(Frozen):
    """What one run of ingest wrote."""

    use_case: str
    as_of: datetime
    raw_rows: dict[str, int]
    quarantined_rows: dict[str, int]
    feature_rows: dict[str, int]
    online_rows: dict[str, int]
    told: tuple[str, ...]
    """What the checks of the data say, apart from that all is well."""


@flow(name="ingest", flow_run_name="ingest-{use_case}")
def ingest(use_case: str, as_of: datetime | None = None) -> Ingested:
    """Source to raw tables to feature tables to the online store, each continuing where it stopped.

    1. Require that the source reaches ``as_of``.
    2. Append to each raw table what arrived since its last slice, if it is sound; keep offending rows apart.
    3. Compute what that changes in each feature table, and append it.
    4. Apply the feature repository.
    5. Write the newest values to the online store.
    """
    moment = moment_of_run(as_of)
    steps.require_reach(use_case, moment)
    slices = steps.append_raw(use_case, moment)
    features = steps.append_features(use_case, moment)
    steps.apply_feature_repository()
    online = steps.write_online(use_case, moment)
    raw, apart, told = steps.summarise(use_case, slices)
    ingested = Ingested(
        use_case=use_case, as_of=moment, raw_rows=raw, quarantined_rows=apart, feature_rows=features,
        online_rows=online, told=told,
    )  # fmt: skip
    publish(
        "ingested",
        f"Ingested until {moment:%Y-%m-%d %H:%M} UTC",
        ingested,
        sentences=told,
        plugged=run_plugged("ingest", use_case, moment, ingested),
    )
    return ingested
