from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from esteira.contract import UseCase
from esteira.errors import DataError, WrongColumns
from esteira.model_card import Column
from esteira.training.leakage import require_no_leak, target_like

AS_OF = datetime(2013, 3, 2, 12, tzinfo=UTC)
COLUMNS = (Column(name="origin", type="category", view="plan"), Column(name="delay", type="number", view="history"))
Parcels = Callable[..., pl.DataFrame]


def test_an_honest_training_set_passes(use_case: UseCase, parcels: Parcels) -> None:
    rows = parcels().with_columns((pl.col("event_timestamp") - timedelta(hours=1)).alias("delay_time"))
    require_no_leak(use_case, rows, COLUMNS, as_of=AS_OF, feature_times=["delay_time"])


def test_an_outcome_known_after_as_of_is_refused(use_case: UseCase, parcels: Parcels) -> None:
    with pytest.raises(DataError, match=r"100 rows have an outcome that was not known by as_of 2013-03-01T00:59"):
        require_no_leak(use_case, parcels(days=60), COLUMNS, as_of=datetime(2013, 3, 1, 0, 59, tzinfo=UTC))


def test_a_feature_newer_than_its_row_is_refused(use_case: UseCase, parcels: Parcels) -> None:
    newer = pl.when(pl.col("parcel") == "p7").then(timedelta(seconds=1)).otherwise(timedelta(0))
    rows = parcels().with_columns((pl.col("event_timestamp") + newer).alias("delay_time"))
    with pytest.raises(DataError, match=r"1 rows hold a feature newer than the row \(delay_time\)"):
        require_no_leak(use_case, rows, COLUMNS, as_of=AS_OF, feature_times=["delay_time"])


def test_a_row_asked_for_after_its_outcome_was_known_is_refused(use_case: UseCase, parcels: Parcels) -> None:
    rows = parcels().with_columns((pl.col("event_timestamp") - timedelta(hours=1)).alias("outcome_known_at"))
    with pytest.raises(DataError, match="6000 rows were asked for when the outcome was known already"):
        require_no_leak(use_case, rows, COLUMNS, as_of=AS_OF)


@pytest.mark.parametrize("outcome", [None, float("nan"), float("inf"), 0.5])
def test_outcomes_that_are_missing_or_no_class_are_refused(
    use_case: UseCase, parcels: Parcels, outcome: float | None
) -> None:
    wrong = pl.when(pl.col("parcel") == "p7").then(pl.lit(outcome, dtype=pl.Float64)).otherwise("outcome")
    with pytest.raises(DataError, match="1 rows have"):
        require_no_leak(use_case, parcels().with_columns(wrong.alias("outcome")), COLUMNS, as_of=AS_OF)


def test_an_absent_column_is_named(use_case: UseCase, parcels: Parcels) -> None:
    with pytest.raises(WrongColumns, match="lacks the columns delay"):
        require_no_leak(use_case, parcels().drop("delay"), COLUMNS, as_of=AS_OF)


LEAKS = {
    "a copy": pl.col("outcome"),
    "its reverse with noise": -pl.col("outcome") + pl.col("noise") / 20,
    "missing exactly when it is no": pl.when(pl.col("outcome") == 1).then("noise"),
    "a word for it": pl.when(pl.col("outcome") == 1).then(pl.lit("late")).otherwise(pl.lit("ok")),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_that_gives_the_outcome_away_is_refused_by_name(
    use_case: UseCase, parcels: Parcels, leak: str
) -> None:
    rows = parcels().with_columns(LEAKS[leak].alias("too_good"))
    column = Column(name="too_good", type="category" if "word" in leak else "number", view="history")
    with pytest.raises(DataError, match=r"column 'too_good' is.* alone reaches an AUC of (0\.99|1\.00)"):
        require_no_leak(use_case, rows, (*COLUMNS, column), as_of=AS_OF)


def test_a_copy_of_a_number_is_found_too_and_a_rare_word_is_not_mistaken_for_one(parcels: Parcels) -> None:
    rows = parcels(kind="regression").with_columns((pl.col("outcome") * 3 + 1).alias("copy"), pl.col("parcel"))
    columns = (Column(name="copy", type="number", view="v"), Column(name="parcel", type="category", view="v"), *COLUMNS)
    assert target_like("regression", rows, columns) == [
        "what column 'copy' is alone reaches a rank correlation of 1.0000"
    ]


def test_strength_equals_scikit_learns_auc(parcels: Parcels) -> None:
    from sklearn.metrics import roc_auc_score

    from esteira.training.leakage import _strength

    rows = parcels()
    noise, outcome = np.round(rows["noise"].to_numpy(), 1), rows["outcome"].to_numpy()
    area = roc_auc_score(outcome, noise)
    assert _strength("binary", noise, outcome) == pytest.approx(max(area, 1 - area))
