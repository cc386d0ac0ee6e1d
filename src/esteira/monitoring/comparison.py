"""Whether a challenger that was asked beside the champion is worse, better, or not yet known to differ.

The loss is the Brier score of a probability and the absolute error of an estimate: both are bounded whatever a model
says, which the sequential test needs (see sequential.py), where one confident mistake makes log-loss as large as it
likes. Each entity counts once, by what was first said about it.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

import numpy as np
import polars as pl

from esteira.errors import WrongColumns
from esteira.model_card import Frozen
from esteira.monitoring.outcomes import KNOWN
from esteira.monitoring.sequential import Effects, confidence_sequence, paired_effects, split_effects
from esteira.traffic import CHALLENGER, CHAMPION, SHADOW, Traffic

ALPHA = 0.05
"""How often at most two equal models are told apart, however often one looks."""
LOSS = {"binary": "Brier score", "regression": "absolute error"}
NEEDED = ("prediction_id", "entity_id", "as_of", "release", "role", "shadow_of", "prediction")
"""Columns of the prediction log that a comparison rests on."""
_POINTS = 200


class Look(Frozen):
    """What was known after so many entities."""

    entities: int
    estimate: float
    low: float
    high: float


class Comparison(Frozen):
    """A challenger beside its champion, as far as outcomes are known."""

    mode: Literal["shadow", "split"]
    champion: str
    challenger: str
    loss: str
    entities: tuple[int, int]
    """Judged: by the champion, by the challenger; in a shadow they are the same."""
    losses: tuple[float, float] | None
    """Mean loss of the two; None while nothing is judged."""
    verdict: Literal["worse", "better", "undecided"]
    """Of the challenger."""
    looks: tuple[Look, ...]
    """How the difference (challenger less champion) and its interval developed; the last is what is known now."""

    @property
    def sentence(self) -> str:
        """The finding."""
        if self.losses is None:
            return f"Nothing is known yet of {self.challenger} beside {self.champion}: no outcome has matured."
        now = self.looks[-1]
        known = f"the {self.loss} of {self.challenger} is {now.estimate:+.4f} against {self.champion}"
        where = f"({now.low:+.4f} to {now.high:+.4f}, at any moment right with {1 - ALPHA:.0%})"
        how = {"worse": "It is worse:", "better": "It is better:", "undecided": "Undecided:"}[self.verdict]
        return f"{how} {known} {where}, on {now.entities:,} entities."


def compare(
    joined: pl.DataFrame,
    champion: str,
    traffic: dict[int, Traffic],
    *,
    kind: Literal["binary", "regression"],
    bounds: tuple[float, float],
    maturity: timedelta,
) -> Comparison:
    """Compare by the predictions of the releases whose ``traffic`` is given: all of one mode and challenger.

    Args:
        joined: what ``join_outcomes`` returned for computed predictions of every role, with the log's columns.
        champion: its model version.
        traffic: release number -> its traffic; at least one.
        kind: of the use case.
        bounds: within which estimates lie; outcomes beyond are taken for the nearest of them.
        maturity: as given to ``join_outcomes``.

    Raises:
        WrongColumns: a needed column is absent.
    """
    if absent := [name for name in (*NEEDED, "outcome", "status") if name not in joined.columns]:
        raise WrongColumns(f"Cannot compare without {', '.join(absent)}. Give what join_outcomes returned of the log.")
    any_traffic = next(iter(traffic.values()))
    low, high = (0.0, 1.0) if kind == "binary" else bounds
    said, outcome = pl.col("prediction").clip(low, high), pl.col("outcome").clip(low, high)
    error = (said - outcome).abs()
    judged = (
        joined.filter(pl.col("status") == KNOWN, pl.col("release").is_in(list(traffic)))
        .with_columns(
            loss=error**2 if kind == "binary" else error,
            # The moment from which the outcome counts: the order in which the test sees them.
            counts_from=pl.max_horizontal("outcome_known_at", pl.col("as_of") + maturity),
        )
        .sort("as_of", "prediction_id")
    )
    paired = any_traffic.mode == "shadow"
    units, effects = (_of_shadow if paired else _of_split)(judged, traffic, high - low)
    found = confidence_sequence(*effects, alpha=ALPHA)
    looks = tuple(
        Look(entities=at + 1, estimate=float(found.estimate[at]), low=float(found.low[at]), high=float(found.high[at]))
        for at in _places(len(found.estimate))
    )
    by = units.select(pl.col("champion").drop_nulls().mean(), pl.col("challenger").drop_nulls().mean()).row(0)
    counts = units["champion"].count(), units["challenger"].count()
    return Comparison(
        mode=any_traffic.mode,
        champion=champion,
        challenger=any_traffic.challenger,
        loss=LOSS[kind],
        entities=counts,
        losses=(by[0], by[1]) if all(counts) else None,
        verdict=_verdict(looks),
        looks=looks,
    )


def _of_shadow(judged: pl.DataFrame, _: dict[int, Traffic], worst: float) -> tuple[pl.DataFrame, Effects]:
    """Both losses of each entity, by the first prediction that both made, in the order of knowledge."""
    given = judged.filter(pl.col("role") == CHAMPION)
    shadow = judged.filter(pl.col("role") == SHADOW).select(
        pl.col("shadow_of").alias("prediction_id"), challenger="loss"
    )
    units = (
        given.rename({"loss": "champion"})
        .join(shadow.unique("prediction_id", keep="first"), on="prediction_id")
        .sort("as_of", "prediction_id")
        .unique("entity_id", keep="first", maintain_order=True)
        .sort("counts_from", "entity_id")
    )
    return units, paired_effects(units["champion"].to_numpy(), units["challenger"].to_numpy(), worst)


def _of_split(judged: pl.DataFrame, traffic: dict[int, Traffic], worst: float) -> tuple[pl.DataFrame, Effects]:
    """The loss of each entity with whom it met first, in the order of knowledge.

    Where the champion stood in for the challenger, neither has the entity: it is left out.
    """
    first = judged.filter(pl.col("role").is_in((CHAMPION, CHALLENGER))).unique(
        "entity_id", keep="first", maintain_order=True
    )
    its = pl.Series(_drawn(first, traffic), dtype=pl.Boolean)
    units = first.filter(its == (first["role"] == CHALLENGER)).sort("counts_from", "entity_id")
    met = units["role"] == CHALLENGER
    shares = units["release"].replace_strict(
        {number: each.share for number, each in traffic.items()}, return_dtype=pl.Float64
    )
    effects = split_effects(units["loss"].to_numpy(), met.to_numpy(), shares.to_numpy(), worst)
    columns = units.with_columns(champion=pl.when(~met).then("loss"), challenger=pl.when(met).then("loss"))
    return columns, effects


def _drawn(rows: pl.DataFrame, traffic: dict[int, Traffic]) -> Iterable[bool]:
    """Whether each row's entity was the challenger's by lot."""
    return [
        traffic[release].is_challengers(entity) for release, entity in rows.select("release", "entity_id").iter_rows()
    ]


def _verdict(looks: tuple[Look, ...]) -> Literal["worse", "better", "undecided"]:
    if not looks or looks[-1].low <= 0 <= looks[-1].high:
        return "undecided"
    return "worse" if looks[-1].low > 0 else "better"


def _places(count: int) -> list[int]:
    """At most ``_POINTS`` of ``count`` places, evenly, the last among them."""
    if not count:
        return []
    return sorted({int(each) for each in np.linspace(0, count - 1, min(count, _POINTS))})
