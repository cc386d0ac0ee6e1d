from collections.abc import Callable

import polars as pl
import pytest

from esteira.contract import EVENT, UseCase
from esteira.errors import InputError, UnknownName
from esteira.model_card import Column
from esteira.training.learn import Where
from esteira.training.recipe import declared
from esteira.training.worth import Worth, groups_by_view, measure_worth
from tests.training.conftest import START

COLUMNS = (
    Column(name="origin", type="category", view="plan"), Column(name="delay", type="number", view="history"),
    Column(name="noise", type="number", view="planted"), Column(name="constant", type="number", view="planted"),
)  # fmt: skip
WHERE = Where(seed=1, threads=1, device="cpu")
Parcels = Callable[..., pl.DataFrame]


def measured(use_case: UseCase, rows: pl.DataFrame, groups: dict[str, tuple[str, ...]]) -> dict[str, Worth]:
    half = START + (rows[EVENT].max() - START) / 2  # type: ignore[operator]
    learned, judged = rows.filter(pl.col(EVENT) <= half), rows.filter(pl.col(EVENT) > half)
    trees = declared(use_case.candidates)[-1]
    return {each.group: each for each in measure_worth(use_case, trees, learned, judged, COLUMNS, groups, WHERE)}


def test_what_the_outcome_follows_from_helps_and_planted_noise_is_worth_nothing(
    use_case: UseCase, parcels: Parcels
) -> None:
    found = measured(use_case, parcels(days=80, per_day=200), groups_by_view(COLUMNS))
    assert list(found) == ["history", "plan", "planted"]
    assert found["history"].added_loss.low > 0.02
    assert found["plan"].added_loss.low > 0
    assert found["history"].auc_gain is not None
    assert found["history"].auc_gain > 0.1
    assert found["planted"].added_loss.low <= 0
    assert "history helps: +0." in found["history"].sentence
    assert "is worth nothing that can be shown" in found["planted"].sentence or "harms" in found["planted"].sentence


def test_a_regression_is_measured_by_its_own_metric(regression_use_case: UseCase, parcels: Parcels) -> None:
    found = measured(regression_use_case, parcels(kind="regression"), {"history": ("delay",)})["history"]
    assert (found.metric, found.auc_gain) == ("mae", None)
    assert found.added_loss.low > 0


def test_groups_may_be_named_and_what_is_no_feature_is_refused(use_case: UseCase, parcels: Parcels) -> None:
    found = measured(use_case, parcels(), {"both": ("origin", "delay"), "none of it": ("constant",)})
    assert found["both"].added_loss.value > 0
    assert found["none of it"].added_loss.value == pytest.approx(0.0)
    with pytest.raises(UnknownName, match=r"feature 'colour'. Known: origin, delay"):
        measured(use_case, parcels(), {"g": ("colour",)})
    with pytest.raises(InputError, match="names 0 of 4"):
        measured(use_case, parcels(), {"g": ()})
    with pytest.raises(InputError, match="names 4 of 4"):
        measured(use_case, parcels(), {"g": ("origin", "delay", "noise", "constant")})
