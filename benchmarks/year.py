"""The real flights of 2013 through the belt's own offline path: one training set of the year, for other benchmarks.

It is ingested and joined once, in a home of its own under ``$ESTEIRA_HOME/benchmarks/year``, and used again until the
code it was made by changes.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from esteira.contract import EVENT, UseCase
from esteira.model_card import Column
from esteira.settings import child_environment, settings
from esteira.training.bootstrap import Floats
from esteira.training.labels import OUTCOME_KNOWN_AT
from esteira.training.learn import Where, feature_frame, fit_entrant, score
from esteira.training.recipe import Entrant, declared

NAME = "flight_delay"
MONTHS = range(3, 13)
MIDNIGHT = 5
"""New York's, in UTC; an hour off in summer, which cuts no flight."""


def first_of(month: int) -> datetime:
    """The first moment of a month of 2013 in New York; 13 is January 2014."""
    return datetime(2013 + (month > 12), (month - 1) % 12 + 1, 1, MIDNIGHT, tzinfo=UTC)


def training_set() -> tuple[pl.DataFrame, tuple[Column, ...]]:
    """Every flight that landed in 2013 with its features as known two hours before departure, and their columns."""
    home = settings().home / "benchmarks" / "year"
    rows, columns = home / "rows.parquet", home / "columns.json"
    marker = home / f"made-by-{_code()}"
    if not marker.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        # In a process of its own: the parts read where their home is once, when they are imported.
        command = [sys.executable, "-m", "benchmarks.year", str(rows), str(columns)]
        subprocess.run(command, env=child_environment(ESTEIRA_HOME=str(home)), check=True)
        marker.touch()
    listed = pl.read_json(columns)
    return pl.read_parquet(rows), tuple(Column(**each) for each in listed.iter_rows(named=True))


def boosted(use_case: UseCase) -> Entrant:
    """The boosted trees as the use case declares them."""
    return next(each for each in declared(use_case.candidates) if each.name == "boosted_trees")


def month_of(rows: pl.DataFrame, month: int) -> pl.DataFrame:
    """The flights asked about in a month."""
    return rows.filter((pl.col(EVENT) > first_of(month)) & (pl.col(EVENT) <= first_of(month + 1)))


def known_by(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """The flights whose outcome was known at a moment."""
    return rows.filter(pl.col(OUTCOME_KNOWN_AT) <= moment)


def monthly_predictions(use_case: UseCase, rows: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """March to December, each month predicted by the trees that learned what was known on its first day; kept."""
    path = settings().home / "benchmarks" / "year" / "predictions.parquet"
    if not path.exists():
        months = []
        for month in MONTHS:
            asked = month_of(rows, month)
            predicted = predict(use_case, boosted(use_case), known_by(rows, first_of(month)), asked, columns)
            months.append(asked.with_columns(pl.Series("prediction", predicted)))
        staged = path.with_suffix(".tmp")
        pl.concat(months).write_parquet(staged)
        staged.rename(path)
    return pl.read_parquet(path)


def predict(
    use_case: UseCase, entrant: Entrant, learned: pl.DataFrame, asked: pl.DataFrame, columns: Sequence[Column],
    seed: int = 2013,
) -> Floats:  # fmt: skip
    """Fit on one set of rows, predict another."""
    where = Where(seed=seed, threads=settings().threads, device=settings().device)
    pipeline = fit_entrant(use_case, entrant, learned, columns, where)
    return score(pipeline, feature_frame(asked, columns), kind=use_case.kind, bounds=use_case.bounds)


def _code() -> str:
    """A digest of all code that decides what the features are."""
    repository = settings().repository
    digest = hashlib.sha256()
    for folder in ("src/esteira/use_cases", "src/esteira/features", "src/esteira/stores", "feature_repo"):
        for file in sorted((repository / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _make(rows: Path, columns: Path) -> None:
    """Ingest all of the year and join it; this process's home is the year's own."""
    from esteira import use_cases
    from esteira.stores.data import tables
    from esteira.stores.feature_store import features
    from esteira.training.labels import label_entities
    from flows.steps import data

    use_case = use_cases.get(NAME)
    end = use_case.source.span()[1]
    data.append_raw.fn(NAME, end)
    data.append_features.fn(NAME, end)
    features.apply()
    raw = tables.read_known(sorted({*use_case.entity_reads, *use_case.outcome_reads}), end)
    labelled = label_entities(use_case, use_case.build_entities(raw), use_case.build_outcomes(raw), as_of=end)
    features.build_training_set(use_case.feature_service, labelled).write_parquet(rows)
    pl.DataFrame([each.model_dump() for each in features.service_columns(use_case.feature_service)]).write_json(columns)


if __name__ == "__main__":
    _make(Path(sys.argv[1]), Path(sys.argv[2]))
