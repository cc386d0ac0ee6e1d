from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from esteira.contract import UseCase
from esteira.model_card import Column
from esteira.training.fit import fit
from esteira.training.plots import draw

AS_OF = datetime(2013, 3, 2, 12, tzinfo=UTC)
COLUMNS = (Column(name="origin", type="category", view="plan"), Column(name="delay", type="number", view="history"))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("binary", {"calibration.png", "roc.png", "precision_recall.png", "importances.png"}),
        ("regression", {"calibration.png", "errors.png", "importances.png"}),
    ],
)
def test_every_kind_has_its_pictures_and_they_are_reproducible(
    kind: str, names: set[str], use_case: UseCase, regression_use_case: UseCase, parcels: Callable[..., pl.DataFrame]
) -> None:
    declared = use_case if kind == "binary" else regression_use_case
    declared = replace(declared, candidates=declared.candidates[1:])
    fitted = fit(declared, parcels(kind=kind), COLUMNS, as_of=AS_OF, seed=1, threads=1, device="cpu")
    pictures = draw(declared, fitted)
    assert set(pictures) == names
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert draw(declared, fitted) == pictures
