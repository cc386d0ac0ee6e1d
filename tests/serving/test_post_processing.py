import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from esteira.serving.post_processing import PostProcessing


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(-1e6, 1e6), st.floats(0.1, 1e6))
def test_nothing_leaves_the_bounds_and_what_is_inside_stays(raw: list[float], low: float, width: float) -> None:
    rules = PostProcessing(kind="regression", threshold=0.0, bounds=(low, low + width))
    clipped = rules.clip(np.array(raw))
    assert np.all((clipped >= low) & (clipped <= low + width))
    inside = (np.array(raw) >= low) & (np.array(raw) <= low + width)
    assert np.array_equal(clipped[inside], np.array(raw)[inside])


def test_the_decision_is_yes_from_the_threshold_on() -> None:
    rules = PostProcessing(kind="binary", threshold=0.35, bounds=(0.0, 1.0))
    assert [rules.decide(each) for each in (0.349, 0.35, 0.9)] == [False, True, True]


def test_an_estimate_decides_nothing() -> None:
    assert PostProcessing(kind="regression", threshold=0.0, bounds=(0.0, 900.0)).decide(120.0) is None


@pytest.mark.parametrize("bounds", [(0.9, 0.1), (0.5, 0.5), (-0.1, 1.0), (0.0, 1.1)])
def test_impossible_bounds_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="bounds"):
        PostProcessing(kind="binary", threshold=0.5, bounds=bounds)
