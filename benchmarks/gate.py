"""How often the gate promotes, with the limits as shipped: trials on real flights, against models whose worth is known.

Run it with ``make bench-gate``. The year's monthly predictions (see benchmarks/year.py) are taken as what a model can
know; a model is that with an error of its own, in logits, part of it shared by the flights of a day. How much worse one
error makes a model than another is measured over all 306 days, so the truth behind every trial is known; a trial shows
the gate one stretch of days as long as the holdout. Writes ``$ESTEIRA_HOME/benchmarks/gate.json``; fails when a bar is
missed.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import year
from esteira import use_cases
from esteira.contract import EVENT, UseCase
from esteira.model_card import Column
from esteira.settings import settings
from esteira.training.bootstrap import Floats
from esteira.training.evaluate import row_losses
from esteira.training.gate import judge
from esteira.training.labels import OUTCOME
from esteira.training.learn import days_of
from esteira.training.verdict import Verdict

NOISE, SHARED = 0.18, 0.22
"""Spread, in logits, of a usual model's own error per row, and the share of it that the rows of a day have in common.
Two boosted models of the same flights that differ by their seed alone differ by 0.23 logits a row and by 0.055 in a
day's mean (March to December 2013); these values give 0.25 and 0.056."""
PLANTED, PLANTED_LOSS = "JFK", 0.02
"""An airport of a third of all flights, made worse by this much log-loss."""
FLIPPED, FLIPPED_TRIALS, FLIPPED_MONTH = 0.05, 20, 4
UNSEEN = {"trained_until": datetime(2013, 1, 1, tzinfo=UTC), "judged_from": datetime(2013, 1, 3, tzinfo=UTC)}


@dataclass(frozen=True)
class Scenario:
    """A kind of challenger, how much worse than the champion, and how often it may be promoted."""

    name: str
    worse_by: float | None
    """None: not known beforehand."""
    least: float
    most: float


def scenarios(margin: float) -> tuple[Scenario, ...]:
    return (
        Scenario("worse by twice the margin", 2 * margin, 0.0, 0.05),
        Scenario("worse by 1.2 margins", 1.2 * margin, 0.0, 0.05),
        # 5 % in theory; 200 trials scatter around it
        Scenario("worse by exactly the margin", margin, 0.0, 0.10),
        Scenario("equally good", 0.0, 0.80, 1.0),
        Scenario("better by half the margin", -margin / 2, 0.95, 1.0),
        Scenario("better by the margin", -margin, 0.95, 1.0),
    )


class Flights:
    """The year as the trials see it."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.outcomes = rows[OUTCOME].to_numpy()
        self.logits = _logit(rows["prediction"].to_numpy())
        self.days = days_of(rows)
        self.columns = {name: np.array(rows[name].to_list(), dtype=object) for name in ("origin", "carrier")}
        self.numbers = np.unique(self.days)

    def model(self, noise: Floats | float, rows: np.ndarray, seed: int) -> Floats:
        """The predictions for ``rows`` of a model with an error of this spread (one for all, or one a row)."""
        generator = np.random.default_rng(seed)
        shared = generator.normal(0, SHARED, self.numbers.size)[np.searchsorted(self.numbers, self.days[rows])]
        return _chance(self.logits[rows] + noise * (generator.normal(0, 1, rows.size) + shared))

    def stretch(self, length: int, seed: int) -> np.ndarray:
        """The rows of ``length`` days in a row, somewhere in the year."""
        first = np.random.default_rng(seed).integers(0, self.numbers.size - length + 1)
        wanted = self.numbers[first : first + length]
        return np.flatnonzero((self.days >= wanted[0]) & (self.days <= wanted[-1]))

    def expected_loss(self, noise: float, rows: np.ndarray) -> float:
        """The mean log-loss on ``rows`` of models with this error."""
        return float(
            np.mean(
                [
                    row_losses("binary", self.outcomes[rows], self.model(noise, rows, 9_000 + seed)).mean()
                    for seed in range(3)
                ]
            )
        )

    def noise_for(self, worse_by: float, rows: np.ndarray) -> float:
        """The error that makes a model's log-loss on ``rows`` ``worse_by`` more than a usual model's, by bisection."""
        target = self.expected_loss(NOISE, rows) + worse_by
        low, high = 0.0, 3.0
        for _ in range(14):
            middle = (low + high) / 2
            low, high = (middle, high) if self.expected_loss(middle, rows) < target else (low, middle)
        return (low + high) / 2


def trial(
    use_case: UseCase, flights: Flights, rows: np.ndarray, challenger: Floats, champion: Floats, seed: int
) -> Verdict:
    """The gate's verdict on ``rows``, given both models' predictions for them."""
    columns = {name: values[rows].tolist() for name, values in flights.columns.items()}
    low, high = use_case.bounds
    return judge(
        use_case.gate, use_case.kind, outcomes=flights.outcomes[rows], challenger=np.clip(challenger, low, high),
        champion=np.clip(champion, low, high), baseline=float(flights.outcomes.mean()), days=flights.days[rows],
        slices={name: columns[name] for name in use_case.slices},
        groups={limit.column: columns[limit.column] for limit in use_case.gate.fairness},
        threshold=use_case.threshold, allowed=use_case.bounds, one_row_ms=1.0, size_bytes=1, seed=seed, **UNSEEN,
    )  # fmt: skip


def run(
    use_case: UseCase, flights: Flights, ours: float, theirs: float, trials: int, worse: np.ndarray | None = None,
    usual: float = NOISE,
) -> list[Verdict]:  # fmt: skip
    """One verdict a trial, each on other days, with other errors of the same size; ``worse`` marks rows that alone
    have the challenger's error, the others then have the ``usual`` one."""
    found = []
    for each in range(trials):
        rows = flights.stretch(use_case.holdout.days, each)
        noise = ours if worse is None else np.where(worse[rows], ours, usual)
        challenger = flights.model(noise, rows, 2 * each + 1_000_000)
        found.append(
            trial(use_case, flights, rows, challenger, flights.model(theirs, rows, 2 * each + 1_000_001), each)
        )
    return found


def flipped(use_case: UseCase, rows: pl.DataFrame, columns: Sequence[Column], trials: int) -> list[Verdict]:
    """Challengers that learned from labels of which a twentieth was turned round; the champion from the true ones."""
    first = year.first_of(FLIPPED_MONTH)
    learned = year.known_by(rows, first)
    held_out = year.month_of(rows, FLIPPED_MONTH).filter(pl.col(EVENT) <= first + use_case.holdout)
    entrant = year.boosted(use_case)
    champion = year.predict(use_case, entrant, learned, held_out, columns)
    days = Flights(held_out.with_columns(pl.Series("prediction", champion)))
    found = []
    for each in range(trials):
        turned = np.random.default_rng(each).uniform(size=learned.height) < FLIPPED
        labels = np.where(turned, 1 - learned[OUTCOME].to_numpy(), learned[OUTCOME].to_numpy())
        poisoned = learned.with_columns(pl.Series(OUTCOME, labels))
        challenger = year.predict(use_case, entrant, poisoned, held_out, columns, seed=each)
        found.append(trial(use_case, days, np.arange(held_out.height), challenger, champion, each))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--flipped-trials", type=int, default=FLIPPED_TRIALS)
    given = parser.parse_args()
    started, use_case = time.perf_counter(), use_cases.get(year.NAME)
    rows, columns = year.training_set()
    flights = Flights(year.monthly_predictions(use_case, rows, columns))
    limits, length, everything = use_case.gate, use_case.holdout.days, np.arange(flights.days.size)
    results = []
    for each in scenarios(limits.margin):
        noisier = flights.noise_for(abs(each.worse_by), everything) if each.worse_by else NOISE
        ours, theirs = (noisier, NOISE) if each.worse_by > 0 else (NOISE, noisier)
        found = run(use_case, flights, ours, theirs, given.trials)
        results.append(_result(each, found, _passed(found)))
        if each.worse_by == 0:
            results.append(_guardrail_alarms(found))
    planted = flights.columns["origin"] == PLANTED
    noisier = flights.noise_for(PLANTED_LOSS, np.flatnonzero(planted))
    found = run(use_case, flights, noisier, NOISE, given.trials, worse=planted)
    result = _result(Scenario(f"{PLANTED} alone worse", PLANTED_LOSS, 0.0, 0.05), found, _passed(found))
    named = [any(each.is_broken and PLANTED in each.name for each in verdict.guardrails) for verdict in found]
    results.append({**result, "named": sum(named) / len(named)})
    found = flipped(use_case, rows, columns, given.flipped_trials)
    results.append(_result(Scenario(f"{FLIPPED:.0%} of labels flipped", None, 0.0, 0.05), found, _passed(found)))
    seconds = time.perf_counter() - started
    _show(use_case, results, length, given.trials)
    path = settings().home / "benchmarks" / "gate.json"
    report = {
        "trials": given.trials, "days": length, "margin": limits.margin, "slice_margin": limits.slice_margin,
        "usual_log_loss": flights.expected_loss(NOISE, everything), "scenarios": results, "seconds": seconds,
    }  # fmt: skip
    path.write_text(json.dumps(report, indent=2))
    Console().print(f"{seconds:.0f} s; written to {path}")
    if not all(result["kept"] for result in results):
        raise SystemExit(1)


def _passed(found: Sequence[Verdict]) -> int:
    return sum(verdict.passed for verdict in found)


def _result(scenario: Scenario, found: Sequence[Verdict], counted: int) -> dict[str, object]:
    rate = counted / len(found)
    refusals = Counter(check.name for verdict in found for check in verdict.checks if not check.passed)
    widths = [v.figures["difference"].high - v.figures["difference"].low for v in found]
    return {
        "challenger": scenario.name, "worse_by": scenario.worse_by, "trials": len(found), "rate": rate,
        "least": scenario.least, "most": scenario.most, "kept": scenario.least <= rate <= scenario.most,
        "refused_by": dict(refusals), "interval_width": float(np.mean(widths)),
    }  # fmt: skip


def _guardrail_alarms(found: Sequence[Verdict]) -> dict[str, object]:
    alarms = sum(any(each.is_broken for each in verdict.guardrails) for verdict in found)
    return _result(Scenario("equally good: any guardrail alarmed", 0.0, 0.0, 0.05), found, alarms)


def _show(use_case: UseCase, results: Sequence[dict[str, object]], length: int, trials: int) -> None:
    limits = use_case.gate
    table = Table(
        title=f"The gate of {use_case.name} as shipped: {trials} trials, {length} days each, margin {limits.margin:g}, "
        f"slices {limits.slice_margin:g}"
    )
    for heading in ("challenger", "log-loss", "share", "wanted", "kept", "refused by"):
        table.add_column(heading, justify="left" if heading in {"challenger", "refused by"} else "right")
    for each in results:
        wanted = f"<= {each['most']:.0%}" if each["least"] == 0 else f">= {each['least']:.0%}"
        reasons = ", ".join(f"{name} {count}" for name, count in each["refused_by"].items())  # type: ignore[attr-defined]
        worse_by = "" if each["worse_by"] is None else f"{each['worse_by']:+.4f}"
        kept = "yes" if each["kept"] else "NO"
        table.add_row(str(each["challenger"]), worse_by, f"{each['rate']:.1%}", wanted, kept, reasons)
    Console().print(table)


def _logit(chance: Floats) -> Floats:
    return np.asarray(np.log(chance / (1 - chance)))


def _chance(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


if __name__ == "__main__":
    main()
