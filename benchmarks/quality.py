"""Quality on the real year: train on what was known by the first of each month, predict the next, March to December.

Run ``make bench-quality`` (about ten minutes on two cores). Features are those of the belt's own offline path, as known
two hours before departure; cancelled and diverted flights have no outcome and are in neither side. Beside the belt's
model run a model frozen on 1 March, the same trees on calendar, route and weather alone, and the belt's model as it is
released, with its newest days held out for the gate. Prints a month a line and what each group of features is worth;
writes ``$ESTEIRA_HOME/benchmarks/quality.json``. Fails when the bars are missed.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import year
from esteira import use_cases
from esteira.contract import UseCase
from esteira.model_card import Column
from esteira.settings import settings
from esteira.training.bootstrap import Floats
from esteira.training.labels import OUTCOME
from esteira.training.learn import Where
from esteira.training.worth import groups_by_view, measure_worth

LEAST_AUC, MOST_LOG_LOSS = 0.765, 0.462
OWN, RELEASED, FROZEN, PLAIN = "monthly", "as released", "frozen 1 March", "plain features"
PLAIN_VIEWS = ("flight_plan", "origin_weather", "dest_facts", "plane_facts")
PLAIN_AT_REQUEST = ("local_hour", "local_day_of_week", "block_minutes")
WORTH_MONTHS = (4, 7, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, nargs="*", default=list(year.MONTHS))
    parser.add_argument("--no-worth", action="store_true", help="leave out what feature groups are worth")
    given = parser.parse_args()
    console, started = Console(), time.perf_counter()
    use_case = use_cases.get(year.NAME)
    rows, columns = year.training_set()
    console.print(f"{rows.height:,} flights, {len(columns)} features, {time.perf_counter() - started:.0f} s")
    months = [_month(use_case, rows, columns, month) for month in given.months]
    means = {
        name: {measure: float(np.mean([month[name][measure] for month in months])) for measure in ("auc", "log_loss")}
        for name in (OWN, RELEASED, FROZEN, PLAIN)
    }
    _show(console, months, means)
    worth = [] if given.no_worth else _worth(console, use_case, rows, columns)
    kept = means[OWN]["auc"] >= LEAST_AUC and means[OWN]["log_loss"] <= MOST_LOG_LOSS
    seconds = time.perf_counter() - started
    path = settings().home / "benchmarks" / "quality.json"
    report = {"months": months, "means": means, "least_auc": LEAST_AUC, "most_log_loss": MOST_LOG_LOSS, "kept": kept,
              "worth": worth, "seconds": seconds}  # fmt: skip
    path.write_text(json.dumps(report, indent=2))
    console.print(
        f"Mean AUC {means[OWN]['auc']:.4f} (at least {LEAST_AUC}), mean log-loss {means[OWN]['log_loss']:.4f} (at most "
        f"{MOST_LOG_LOSS}): {'kept' if kept else 'MISSED'}. {seconds:.0f} s; written to {path}"
    )
    if not kept:
        raise SystemExit(1)


def _month(use_case: UseCase, rows: pl.DataFrame, columns: Sequence[Column], month: int) -> dict[str, object]:
    # Imported before the settings, scikit-learn would make OpenMP's threads wait by spinning.
    from sklearn.metrics import log_loss, roc_auc_score

    first, asked = year.first_of(month), year.month_of(rows, month)
    plain = [each for each in columns if each.view in PLAIN_VIEWS or each.name in PLAIN_AT_REQUEST]
    held_out = first - use_case.holdout - 2 * use_case.label_delay  # a gap before the holdout, and one after it
    own = year.month_of(year.monthly_predictions(use_case, rows, columns), month)["prediction"]
    contenders: dict[str, Callable[[], Floats]] = {
        OWN: own.to_numpy,
        RELEASED: lambda: _predict(use_case, rows, asked, columns, held_out),
        FROZEN: lambda: _predict(use_case, rows, asked, columns, year.first_of(3)),
        PLAIN: lambda: _predict(use_case, rows, asked, plain, first),
    }
    outcomes = asked[OUTCOME].to_numpy()
    found: dict[str, object] = {"month": month, "flights": asked.height, "late": float(outcomes.mean())}
    for name, predictions in contenders.items():
        p = predictions()
        found[name] = {"auc": float(roc_auc_score(outcomes, p)), "log_loss": float(log_loss(outcomes, p))}
    return found


def _predict(
    use_case: UseCase, rows: pl.DataFrame, asked: pl.DataFrame, columns: Sequence[Column], until: datetime
) -> Floats:
    return year.predict(use_case, year.boosted(use_case), year.known_by(rows, until), asked, columns)


def _worth(
    console: Console, use_case: UseCase, rows: pl.DataFrame, columns: Sequence[Column]
) -> list[dict[str, object]]:
    """What each view adds to the others, on three months of different seasons taken together."""
    where = Where(seed=2013, threads=settings().threads, device=settings().device)
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for month in WORTH_MONTHS:
        learned = year.known_by(rows, year.first_of(month)).tail(100_000)
        for each in measure_worth(
            use_case,
            year.boosted(use_case),
            learned,
            year.month_of(rows, month),
            columns,
            groups_by_view(columns),
            where,
        ):
            figure = each.added_loss
            found.setdefault(each.group, []).append((figure.value, figure.low, figure.high, each.auc_gain or 0.0))
    table = Table(title=f"What a group adds: log-loss without it, months {', '.join(map(str, WORTH_MONTHS))}")
    for heading in ("group", "added log-loss", *(f"month {month}, 95 %" for month in WORTH_MONTHS), "AUC gain"):
        table.add_column(heading, justify="left" if heading == "group" else "right")
    listed = []
    for group, figures in sorted(found.items(), key=lambda item: -float(np.mean([value for value, *_ in item[1]]))):
        mean, auc = float(np.mean([each[0] for each in figures])), float(np.mean([each[3] for each in figures]))
        intervals = [f"{low:+.4f} … {high:+.4f}" for _, low, high, _ in figures]
        table.add_row(group, f"{mean:+.5f}", *intervals, f"{auc:+.4f}")
        listed.append({"group": group, "added_log_loss": mean, "auc_gain": auc, "months": figures})
    console.print(table)
    return listed


def _show(console: Console, months: list[dict[str, object]], means: dict[str, dict[str, float]]) -> None:
    table = Table(title="AUC / log-loss of the month, learned from what was known on its first day")
    for heading in ("month", "flights", "late", *means):
        table.add_column(heading, justify="right")
    for month in months:
        figures = [f"{month[name]['auc']:.4f} / {month[name]['log_loss']:.4f}" for name in means]  # type: ignore[index]
        table.add_row(str(month["month"]), f"{month['flights']:,}", f"{month['late']:.1%}", *figures)
    table.add_row("mean", "", "", *(f"{each['auc']:.4f} / {each['log_loss']:.4f}" for each in means.values()))
    console.print(table)


if __name__ == "__main__":
    main()
