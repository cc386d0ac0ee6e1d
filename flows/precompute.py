"""Predict ahead for everything that is known to come, so that answers can be looked up."""

from datetime import datetime

from prefect import flow

from flows.moment import moment_of_run
from flows.report import Progress, publish
from flows.steps import serving as steps
from flows.steps.data import require_ingested
from flows.steps.plugged import run_plugged
from flows.steps.serving import Precomputed


@flow(name="precompute", flow_run_name="precompute-{use_case}")
def precompute(use_case: str, as_of: datetime | None = None) -> Precomputed:
    """Score upcoming entities with the live release; readers see the whole new batch or the whole old one.

    1. Require that data was ingested up to ``as_of``.
    2. Find the entities known then that will be asked for within the horizon.
    3. Piece by piece, join their features as they are known now, score them, and keep them.
    4. Show the batch in place of the release's earlier one, in one step.
    """
    moment = moment_of_run(as_of)
    require_ingested(use_case, moment)
    precomputed = steps.precompute_predictions(use_case, moment, tell=Progress("precompute-progress"))
    publish(
        "precomputed",
        f"{precomputed.entities:,} predictions ahead, as of {moment:%Y-%m-%d %H:%M} UTC",
        precomputed,
        plugged=run_plugged("precompute", use_case, moment, precomputed),
    )
    return precomputed
