import pytest

from esteira.model_card import REQUIRED_FIELDS, REQUIRED_FILES, Estimate, missing_records
from tests.stores.model_store.test_tracking import card_of


def test_a_whole_card_with_all_files_lacks_nothing() -> None:
    assert missing_records(card_of(), REQUIRED_FILES) == []


@pytest.mark.parametrize("field", REQUIRED_FIELDS)
def test_every_required_field_is_missed_by_name(field: str) -> None:
    emptied = type(getattr(card_of(), field))()
    (missed,) = missing_records(card_of(**{field: emptied}), REQUIRED_FILES)
    assert missed.replace(" ", "_").lower().replace("sha-256", "sha256") == field


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_counts_as_missing(value: float) -> None:
    card = card_of(metrics={"auc": Estimate(value=value, low=0.1, high=0.2, rows=5)})
    assert missing_records(card, REQUIRED_FILES) == ["a finite auc"]
