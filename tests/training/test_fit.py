import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

from esteira.contract import Candidate, UseCase
from esteira.errors import ModelError, NotEnoughData
from esteira.model_card import Column
from esteira.settings import REPOSITORY
from esteira.training.card import build_card
from esteira.training.fit import Fitted, fit
from esteira.training.learn import days_of, feature_frame, score

COLUMNS = tuple(
    Column(name=name, type="category" if name == "origin" else "number", view="history")
    for name in ("origin", "delay", "noise", "constant")
)
AS_OF = datetime(2013, 3, 2, 12, tzinfo=UTC)
Parcels = Callable[..., pl.DataFrame]


def fitted(use_case: UseCase, rows: pl.DataFrame, **changed: Any) -> Fitted:
    return fit(use_case, rows, COLUMNS, **{"as_of": AS_OF, "seed": 1, "threads": 1, "device": "cpu", **changed})


def test_the_better_candidate_is_chosen_with_its_reasons(use_case: UseCase, parcels: Parcels) -> None:
    found = fitted(use_case, parcels())
    assert found.entrant.name == "trees"  # the truth is not monotone, so a line cannot follow it
    assert "trees had the lowest log_loss of 2 candidates" in found.selection[0]
    assert found.selection[2].startswith("line: log_loss 0.")
    assert found.selection[-1] == "In training these columns hold one value only, or none: constant."
    assert found.entrant.parameters == {"n_estimators": 30, "max_depth": 3, "learning_rate": 0.2}


def test_it_beats_the_constant_baseline_and_knows_which_columns_matter(use_case: UseCase, parcels: Parcels) -> None:
    found = fitted(use_case, parcels())
    assert found.metrics["log_loss"].high < found.baseline["log_loss"]
    assert found.metrics["auc"].low > 0.65
    assert sum(found.importances.values()) == pytest.approx(1)
    assert max(found.importances, key=lambda name: found.importances[name]) == "delay"
    assert found.importances["constant"] == 0
    assert {each.slice for each in found.slices} == {"origin=EWR", "origin=JFK", "origin=LGA"}


def test_the_model_returned_is_the_one_that_was_judged(use_case: UseCase, parcels: Parcels) -> None:
    found = fitted(use_case, parcels())
    again = score(found.pipeline, feature_frame(found.holdout, COLUMNS), kind="binary", bounds=use_case.bounds)
    np.testing.assert_array_equal(again, found.predictions)
    assert found.holdout["event_timestamp"].min() > found.split.trained_until + use_case.label_delay


def test_the_holdout_has_no_influence_on_the_model(use_case: UseCase, parcels: Parcels) -> None:
    rows = parcels()
    split = fitted(use_case, rows).split
    swapped = rows.with_columns(pl.when(split.train).then("outcome").otherwise(1 - pl.col("outcome")).alias("outcome"))
    frame = feature_frame(rows, COLUMNS)
    answers = [fitted(use_case, each).pipeline.predict_proba(frame) for each in (rows, swapped)]
    np.testing.assert_array_equal(*answers)


def test_the_same_seed_gives_the_same_model_on_one_thread_and_on_two(use_case: UseCase, parcels: Parcels) -> None:
    one, two = (fitted(use_case, parcels(), threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.predictions, two.predictions)
    assert one.metrics == two.metrics


NAMES = """
import sys
from tests.training.conftest import build_parcels, use_case_of_parcels
from tests.training.test_fit import AS_OF, fitted
from esteira.stores.model_store.models import name_version
for candidate in use_case_of_parcels().candidates:
    from dataclasses import replace
    found = fitted(replace(use_case_of_parcels(), candidates=(candidate,)), build_parcels(), threads=int(sys.argv[1]))
    print(name_version(found.pipeline, AS_OF))
"""


@pytest.mark.slow
def test_two_processes_with_one_thread_and_with_two_write_the_same_bytes() -> None:
    one, two = (
        subprocess.run(
            [sys.executable, "-c", NAMES, threads], cwd=REPOSITORY, check=True, capture_output=True, text=True
        ).stdout
        for threads in ("1", "2")
    )
    assert len(one.split()) == 2
    assert one == two


def test_regression_is_trained_and_judged_likewise(regression_use_case: UseCase, parcels: Parcels) -> None:
    found = fitted(regression_use_case, parcels(kind="regression"))
    assert found.entrant.name == "trees"
    assert found.metrics["mae"].high < found.baseline["mae"]


def test_importances_of_a_linear_model_come_from_shuffling(use_case: UseCase, parcels: Parcels) -> None:
    found = fitted(replace(use_case, candidates=use_case.candidates[:1]), parcels())
    assert found.selection[0] == "line is the only candidate that was asked for or declared."
    assert sum(found.importances.values()) == pytest.approx(1)
    assert max(found.importances, key=lambda name: found.importances[name]) == "origin"


def test_columns_of_nulls_only_do_not_stop_training(use_case: UseCase, parcels: Parcels) -> None:
    empty = parcels().with_columns(
        pl.lit(None, dtype=pl.Float64).alias("noise"), pl.lit(None, dtype=pl.String).alias("origin")
    )
    found = fitted(replace(use_case, slices=()), empty)
    assert found.selection[-1].endswith("none: origin, noise, constant.")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda frame: frame.head(0), "no labelled row"),
        (lambda frame: frame.tail(1050), "0 rows to train on"),
        (lambda frame: frame.filter(pl.int_range(pl.len()) % 50 == 0), "rows to train on; at least 200"),
        (lambda frame: frame.with_columns(pl.lit(0.0).alias("outcome")), "0 of them yes; at least 20 of each class"),
    ],
)
def test_too_few_rows_or_one_class_only_is_said(
    use_case: UseCase, parcels: Parcels, rows: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    with pytest.raises(NotEnoughData, match=message):
        fitted(use_case, rows(parcels()))


class Broken(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, X: Any, y: Any) -> "Broken":  # noqa: N803
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        return np.full((len(X), 2), np.nan)


def test_a_model_that_answers_nan_is_never_clipped_into_an_answer(use_case: UseCase, parcels: Parcels) -> None:
    broken = Candidate(name="broken", build=lambda **_: Pipeline([("model", Broken())]))
    with pytest.raises(ModelError, match="predictions are not finite numbers"):
        fitted(replace(use_case, candidates=(broken,)), parcels())


def test_the_card_says_what_was_found(use_case: UseCase, parcels: Parcels) -> None:
    found = fitted(use_case, parcels())
    card = build_card(
        use_case, found, COLUMNS, version="v", as_of=AS_OF, entity_values={}, data_versions={"parcels": 1},
        code_commit="c", lock_sha256="l", seed=1, cause="A test.", run_id="r",
    )  # fmt: skip
    assert card.metrics == found.metrics
    assert card.training_rows == found.split.train.sum()
    assert card == type(card).model_validate_json(card.model_dump_json())


def test_days_are_utc_days(parcels: Parcels) -> None:
    first = parcels(days=2, per_day=3)
    assert len(set(days_of(first))) == 2
    moved = first.with_columns(pl.col("event_timestamp") + timedelta(hours=23, minutes=58))
    assert len(set(days_of(moved))) == 3
