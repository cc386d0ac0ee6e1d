"""How often the monitor's decision is wrong, by simulation: false alarms, missed shifts, and swings back and forth.

Every window goes the real way: rows are profiled, compared with thresholds calibrated on the model's own history,
joined outcomes are judged, and the policy decides. Run: python benchmarks/policy.py. The figures are printed and kept
under the belt's home, in benchmarks/; it exits with 1 when a promise is not kept.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt

import numpy as np
import polars as pl

from esteira.contract import MonitorLimits, utc
from esteira.model_card import Column
from esteira.monitoring.distribution import Profile
from esteira.monitoring.drift import Thresholds, calibrate, measure
from esteira.monitoring.outcomes import KNOWN
from esteira.monitoring.policy import Situation, WindowFacts, decide
from esteira.monitoring.profile import build_profile, read_profile
from esteira.monitoring.quality import judge_quality
from esteira.settings import settings

FEATURES, HISTORY_DAYS, ROWS_A_DAY, WINDOW_DAYS = 20, 90, 150, 7
DAY_DEVIATION = 0.2
"""How much days differ, where rows of one day differ by 1. The more they do, the less a week can tell: with 0.3, four
of five shifts are found within two windows."""
START = utc("2013-01-01")
LIMITS = MonitorLimits(
    minimum_rows=300, windows=3, windows_needed=2, cool_down=timedelta(days=21), maximum_age=timedelta(days=10_000)
)
NAMES = [f"feature_{each}" for each in range(FEATURES)]
COLUMNS = [Column(name=name, type="number", view="simulation") for name in [*NAMES, "prediction"]]
WEIGHTS = 0.8 ** np.arange(FEATURES)
IMPORTANCES = dict(zip(NAMES, (WEIGHTS / WEIGHTS.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class Live:
    """A model as the monitor sees it: what it was trained around, its reference and its thresholds."""

    center: float
    reference: Profile
    thresholds: Thresholds
    situation: Situation


def main() -> None:
    rng = np.random.default_rng(settings().seed)
    figures = {
        "false_retrains_in_200_windows": false_retrains(rng, windows=200),
        "share_of_shifts_found_within_2_windows": shifts_found(rng, trials=60),
        "windows_of_swings": 60,
        **swings(rng, windows=60),
    }
    target = settings().home / "benchmarks" / "policy.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=2))
    for name, figure in figures.items():
        print(f"{name.replace('_', ' '):<45} {figure:g}")
    print(f"kept in {target}")
    if (
        figures["false_retrains_in_200_windows"] > 2
        or figures["share_of_shifts_found_within_2_windows"] < 0.95
        or figures["shortest_days_between_retrains"] < LIMITS.cool_down / timedelta(days=1)
    ):
        raise SystemExit("A promise of the policy is not kept.")


def false_retrains(rng: np.random.Generator, *, windows: int) -> float:
    """Retrains asked for although nothing changed, with no cool-down to hide them."""
    live = train(rng, at=START, center=0.0)
    facts = [look(live, rng, week, top=0.0) for week in range(windows)]
    verdicts = [
        decide(LIMITS, facts[: week + 1], live.situation, as_of=facts[week].end).action for week in range(windows)
    ]
    return verdicts.count("retrain")


def shifts_found(rng: np.random.Generator, *, trials: int) -> float:
    """The share of models for which half a deviation's shift of the top feature asks for a retrain in two windows."""
    shift = 0.5 * sqrt(1 + DAY_DEVIATION**2)
    found = 0
    for _ in range(trials):
        live = train(rng, at=START, center=0.0)
        facts = [look(live, rng, week, top=shift if week > 0 else 0.0) for week in range(3)]
        found += decide(LIMITS, facts, live.situation, as_of=facts[-1].end).action == "retrain"
    return found / trials


def swings(rng: np.random.Generator, *, windows: int) -> dict[str, float]:
    """The world jumps between two states every three weeks; each retrain learns the present state."""
    live = train(rng, at=START, center=0.0)
    facts: list[WindowFacts] = []
    asked: list[datetime] = []
    for week in range(windows):
        state = 1.0 if week // 3 % 2 else 0.0
        facts.append(look(live, rng, week, top=state))
        if decide(LIMITS, facts, live.situation, as_of=facts[-1].end).action == "retrain":
            asked.append(facts[-1].end)
            live = train(rng, at=facts[-1].end, center=state)
    gaps = [(later - earlier) / timedelta(days=1) for earlier, later in pairwise(asked)]
    return {"retrains_in_swings": len(asked), "shortest_days_between_retrains": min(gaps, default=float("inf"))}


def train(rng: np.random.Generator, *, at: datetime, center: float) -> Live:
    """A model of the world as it is around ``center``, with reference and thresholds from 90 days of it."""
    frame, days = rows(rng, HISTORY_DAYS, top=center, learned=center)
    reference = read_profile(build_profile(frame, COLUMNS))
    thresholds = calibrate(
        reference,
        frame,
        COLUMNS,
        importances=IMPORTANCES,
        days=days,
        window_rows=WINDOW_DAYS * ROWS_A_DAY,
        window_days=WINDOW_DAYS,
        seed=1,
    )
    quality = judge_quality(known(frame, days, at), "binary")
    situation = Situation(
        metric="log_loss",
        expected=quality.metrics["log_loss"],
        model_as_of=at,
        released_at=at,
        has_earlier_release=False,
        retrains_requested_at=(at,) if at > START else (),
    )
    return Live(center, reference, thresholds, situation)


def look(live: Live, rng: np.random.Generator, week: int, *, top: float) -> WindowFacts:
    """What the monitor finds in one week in which the top feature is centred on ``top``."""
    start = START + week * timedelta(days=WINDOW_DAYS)
    frame, days = rows(rng, WINDOW_DAYS, top=top, learned=live.center)
    profile = read_profile(build_profile(frame, COLUMNS))
    return WindowFacts(
        start=start,
        end=start + timedelta(days=WINDOW_DAYS),
        rows=frame.height,
        drift=measure(live.reference, profile, live.thresholds, IMPORTANCES),
        quality=judge_quality(known(frame, days, start), "binary", minimum_rows=LIMITS.minimum_rows),
    )


def rows(rng: np.random.Generator, days: int, *, top: float, learned: float) -> tuple[pl.DataFrame, pl.Series]:
    """Rows whose outcome follows the features' distance from their centre; a model that learned another is biased."""
    day = np.repeat(np.arange(days), ROWS_A_DAY)
    values = rng.normal(size=(day.size, FEATURES)) + DAY_DEVIATION * rng.normal(size=(days, FEATURES))[day]
    score = values @ (0.5 * WEIGHTS) - 1
    values[:, 0] += top
    prediction = 1 / (1 + np.exp(-(score + 0.5 * (top - learned))))
    outcome = (rng.random(day.size) < 1 / (1 + np.exp(-score))).astype(float)
    columns = {name: values[:, index] for index, name in enumerate(NAMES)}
    return pl.DataFrame({**columns, "prediction": prediction, "outcome": outcome}), pl.Series(day)


def known(frame: pl.DataFrame, days: pl.Series, start: datetime) -> pl.DataFrame:
    """The rows as predictions whose outcomes are all there."""
    return frame.with_columns(status=pl.lit(KNOWN), as_of=pl.lit(start) + pl.duration(days=days))


if __name__ == "__main__":
    main()
