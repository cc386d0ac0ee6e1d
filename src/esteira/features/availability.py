"""Will a feature be there when a prediction is asked for? Judged before a model learns to lean on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT
from esteira.errors import FeatureError
from esteira.model_card import Column


@dataclass(frozen=True, kw_only=True)
class Availability:
    """What to expect of one feature while serving."""

    name: str
    view: str
    obstacle: str | None
    """Why it will not be there when asked; None when it will."""
    delay_median: timedelta | None
    """From event to knowledge, over the rows of its table; None for a feature computed when asked."""
    delay_p95: timedelta | None
    null_share: float | None
    """Of the rows of its table."""
    missing_share: float
    """Of the questions, joined point in time."""


def assess(
    columns: Sequence[Column],
    joined: pl.DataFrame,
    tables: Mapping[str, pl.LazyFrame],
    unreachable: Mapping[str, str],
) -> tuple[Availability, ...]:
    """Assess each of ``columns``: n questions with their features in ``joined``, and each stored view's known rows.

    ``unreachable`` says of features that cannot come from the online store why.
    """
    found = obstacles(columns, joined, unreachable)
    delays = {view: _delays(rows) for view, rows in tables.items()}
    assessed = []
    for column in columns:
        stored = tables.get(column.view)
        median, p95 = delays.get(column.view, (None, None))
        assessed.append(
            Availability(
                name=column.name,
                view=column.view,
                obstacle=found.get(column.name),
                delay_median=median,
                delay_p95=p95,
                null_share=None if stored is None else _null_share(stored.select(column.name).collect()),
                missing_share=_null_share(joined.select(column.name)),
            )
        )
    return tuple(assessed)


def obstacles(columns: Sequence[Column], joined: pl.DataFrame, unreachable: Mapping[str, str]) -> dict[str, str]:
    """Why features will not be there when asked; only those that will not. Columns and results as in ``assess``."""
    names = [column.name for column in columns]
    never = joined.select(pl.col(name).is_null().all() for name in names).row(0, named=True) if joined.height else {}
    return {
        name: unreachable.get(name)
        or f"not one of {joined.height:,} questions found a value: it becomes known only after the moment of asking, "
        "or has expired by then"
        for name in names
        if name in unreachable or never.get(name)
    }


def require_available(service: str, found: Mapping[str, str]) -> None:
    """Raise FeatureError naming every feature of ``service`` with an obstacle; ``found`` is what ``obstacles`` gave."""
    if found:
        listed = "; ".join(f"{name!r}: {obstacle}" for name, obstacle in found.items())
        raise FeatureError(
            f"Cannot train on features of {service!r} that will not exist when a prediction is asked for. {listed}. "
            "Remove them from the feature service in feature_repo/, or mend when their view becomes known; "
            "esteira features availability shows every feature's delay."
        )


def _delays(rows: pl.LazyFrame) -> tuple[timedelta | None, timedelta | None]:
    delay = pl.col(CREATED) - pl.col(EVENT)
    median, p95 = rows.select(delay.median().alias("m"), delay.quantile(0.95, "nearest").alias("p")).collect().row(0)
    return median, p95


def _null_share(values: pl.DataFrame) -> float:
    return values.null_count().item() / values.height if values.height else 0.0
