import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from esteira.contract import Candidate, Range, UseCase
from esteira.errors import InputError
from esteira.settings import REPOSITORY
from esteira.training.fit import rows_to_learn_from
from esteira.training.learn import Where
from esteira.training.recipe import Budget, declared
from esteira.training.select import folds
from esteira.training.tune import Tuned, tune
from tests.training.conftest import DAY
from tests.training.test_fit import AS_OF, COLUMNS, Broken, Parcels

ONE_THREAD = Where(seed=1, threads=1, device="cpu")
SEARCH = {"max_depth": Range(low=1, high=5, whole=True), "learning_rate": Range(low=0.01, high=0.5, log=True)}


@pytest.fixture
def searched(use_case: UseCase) -> UseCase:
    line, trees = use_case.candidates
    return replace(use_case, candidates=(line, replace(trees, search=SEARCH)))


def tuned(use_case: UseCase, rows: pl.DataFrame, storage: Path, **changed: Any) -> Tuned:
    given: dict[str, Any] = {"budget": Budget(trials=6, seconds=600), "where": ONE_THREAD, "search": "a", **changed}
    return tune(use_case, declared(use_case.candidates), rows, COLUMNS, storage=storage / "tuning.db", **given)


def test_the_best_of_the_trials_enters_and_says_so(searched: UseCase, parcels: Parcels, tmp_path: Path) -> None:
    found = tuned(searched, rows_to_learn_from(searched, parcels(), as_of=AS_OF), tmp_path)
    line, trees = found.entrants
    assert line == declared(searched.candidates)[0]
    complete = [each for each in found.trials if each.state == "complete"]
    best = min(complete, key=lambda each: each.loss or 9.0)
    assert {name: trees.parameters[name] for name in SEARCH} == best.parameters
    assert trees.parameters["n_estimators"] == 30
    assert f"Tuned: trial {best.number} of 6" in trees.source
    assert len(found.trials) == 6
    assert found.trials[0].parameters == {"max_depth": 3, "learning_rate": 0.2}  # what it entered with, to be beaten
    assert all(each.folds == 3 for each in complete)


def test_two_searches_of_the_same_rows_and_seed_are_the_same(
    searched: UseCase, parcels: Parcels, tmp_path: Path
) -> None:
    first, second = (tuned(searched, parcels(), tmp_path / each) for each in ("one", "two"))
    assert told(first) == told(second)


def test_a_finished_search_is_read_not_run_again_and_a_larger_budget_continues_it(
    searched: UseCase, parcels: Parcels, tmp_path: Path
) -> None:
    first = tuned(searched, parcels(), tmp_path, budget=Budget(trials=3, seconds=600))

    def stopped() -> float:
        raise AssertionError("A trial was run again.")

    assert tuned(searched, parcels(), tmp_path, budget=Budget(trials=3, seconds=600), clock=stopped) == first
    longer = tuned(searched, parcels(), tmp_path, budget=Budget(trials=5, seconds=600))
    assert told(longer)[:3] == told(first)
    assert len(longer.trials) == 5


def test_seconds_end_a_search_before_its_trials_do(searched: UseCase, parcels: Parcels, tmp_path: Path) -> None:
    ticks = iter(range(0, 10_000, 30))  # each trial seems to take 30 seconds
    found = tuned(
        searched, parcels(), tmp_path, budget=Budget(trials=50, seconds=100), clock=lambda: float(next(ticks))
    )
    assert [each.seconds for each in found.trials] == [30, 30, 30]


def test_the_tuner_never_sees_the_holdout(searched: UseCase, parcels: Parcels, tmp_path: Path) -> None:
    rows = parcels()
    learned = rows_to_learn_from(searched, rows, as_of=AS_OF)
    since = rows["event_timestamp"].max() - searched.holdout  # type: ignore[operator]
    assert learned["event_timestamp"].max() < since - searched.label_delay + DAY  # type: ignore[operator]
    spoiled = rows.with_columns(
        pl.when(pl.col("event_timestamp") > learned["event_timestamp"].max())
        .then(1 - pl.col("outcome")).otherwise("outcome").alias("outcome")
    )  # fmt: skip
    again = rows_to_learn_from(searched, spoiled, as_of=AS_OF)
    assert told(tuned(searched, learned, tmp_path / "a")) == told(tuned(searched, again, tmp_path / "b"))


def test_folds_follow_each_other_in_time_and_learn_from_the_past_only(searched: UseCase, parcels: Parcels) -> None:
    found = folds(searched, parcels(), 3)
    for fold in found:
        assert fold.learned["event_timestamp"].max() < fold.newest["event_timestamp"].min() - searched.label_delay  # type: ignore[operator]
    assert [fold.until for fold in found] == sorted(fold.until for fold in found)
    assert found[0].until <= found[1].since


@pytest.mark.parametrize("budget", [Budget(trials=0, seconds=60), Budget(trials=5, seconds=0)])
def test_a_budget_of_zero_is_refused_in_a_sentence(
    searched: UseCase, parcels: Parcels, tmp_path: Path, budget: Budget
) -> None:
    with pytest.raises(InputError, match="allows no trial"):
        tuned(searched, parcels(), tmp_path, budget=budget)
    assert not (tmp_path / "tuning.db").exists()


def test_candidates_without_a_search_space_are_refused(use_case: UseCase, parcels: Parcels, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line, trees declare no search space"):
        tuned(use_case, parcels(), tmp_path)


def test_trials_that_answer_nan_are_refused_and_counted(use_case: UseCase, parcels: Parcels, tmp_path: Path) -> None:
    def build(**_: Any) -> Any:
        from sklearn.pipeline import Pipeline

        return Pipeline([("model", Broken())])

    broken = Candidate(name="broken", build=build, parameters={"x": 1}, search={"x": (1, 2)})
    found = tuned(replace(use_case, candidates=(broken,)), parcels(), tmp_path)
    assert {each.state for each in found.trials} == {"refused"}
    assert len(found.trials) == 6
    assert found.entrants[0].parameters == {"x": 1}
    assert "6 tuning trials found nothing that works" in found.entrants[0].source


def told(found: Tuned) -> list[tuple[Any, ...]]:
    return [(each.parameters, each.state, each.loss) for each in found.trials]


TUNES = """
import sys
from pathlib import Path
from tests.training.test_tune import killed_search
killed_search(Path(sys.argv[1]))
"""


def killed_search(folder: Path) -> Tuned:
    from tests.training.conftest import build_parcels, trees, use_case_of_parcels

    candidate = Candidate(
        name="trees", build=trees, parameters={"n_estimators": 200, "max_depth": 3, "learning_rate": 0.2}, search=SEARCH
    )
    return tuned(replace(use_case_of_parcels(), candidates=(candidate,)), build_parcels(), folder)


@pytest.mark.slow
def test_a_search_killed_twice_finds_what_an_undisturbed_one_finds(tmp_path: Path) -> None:
    undisturbed = killed_search(tmp_path / "undisturbed")
    folder = tmp_path / "killed"
    for trial in (1, 3):
        with subprocess.Popen([sys.executable, "-c", TUNES, str(folder)], cwd=REPOSITORY) as process:
            _wait_until(lambda wanted=trial: _started(folder / "tuning.db") >= wanted, process)
            os.kill(process.pid, signal.SIGKILL)
    assert told(killed_search(folder)) == told(undisturbed)


def _started(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        with closing(sqlite3.connect(database, timeout=10)) as connection:
            values = "SELECT count(DISTINCT trial_id) FROM trial_params"
            return int(connection.execute(values).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _wait_until(reached: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    while not reached():
        assert process.poll() is None, "The search ended before it could be killed."
        time.sleep(0.02)
