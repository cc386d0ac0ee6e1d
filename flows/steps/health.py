"""Whether a fresh release is well by what it served: part of the monitor's decision."""

from datetime import datetime

import polars as pl

from esteira.contract import PRIMARY, UseCase
from esteira.model_card import CONSTANT, ModelCard
from esteira.monitoring.health import ailments, seen_in
from esteira.monitoring.policy import Alarm, Verdict
from esteira.stores.releases import ledger


def with_health(
    verdict: Verdict,
    declared: UseCase,
    release: ledger.Release,
    card: ModelCard,
    joined: pl.DataFrame,
    as_of: datetime,
) -> Verdict:
    """``verdict``, or a rollback where the health rule is broken; a release that has none before it is watched.

    ``joined`` has the release's predictions since it went live, with what is known of their outcomes.
    """
    metric = PRIMARY[declared.kind]
    seen = seen_in(
        joined, declared.kind, metric=metric, released=card.metrics.get(metric), usual=card.baseline.get(CONSTANT)
    )
    found = ailments(declared.health, seen, released_at=ledger.live_since(release), as_of=as_of)
    if not found:
        return verdict
    alarms = tuple(Alarm(matter="rollback", severity="critical", sentence=sentence) for sentence in found[:1])
    return verdict.model_copy(
        update={
            "action": "roll back" if ledger.before(release) else "watch",
            "sentences": (*found, *verdict.sentences),
            "alarms": (*alarms, *verdict.alarms),
        }
    )
