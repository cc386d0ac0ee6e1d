from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.model_card import Column
from esteira.monitoring.bins import Bins, cut, distances
from esteira.monitoring.distribution import Distribution
from esteira.monitoring.profile import build_profile, read_profile

counts = st.lists(st.integers(0, 1000).map(float), min_size=6, max_size=6)


def number(values: Sequence[float | None], kind: type[pl.DataType] = pl.Float64) -> Distribution:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=kind)})
    return read_profile(build_profile(frame, [Column(name="x", type="number", view="v")])).column("x")


def category(values: Sequence[str | None]) -> Distribution:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.String)})
    return read_profile(build_profile(frame, [Column(name="x", type="category", view="v")])).column("x")


def distance(reference: Distribution, window: Distribution) -> float:
    bins = cut(reference)
    return float(distances(bins.rows(window), bins.rows(reference)))


@given(counts, counts)
def test_the_distance_is_symmetric_and_between_zero_and_one(left: list[float], right: list[float]) -> None:
    a, b = np.array(left), np.array(right)
    assert 0.0 <= distances(a, b) <= 1.0
    assert distances(a, b) == pytest.approx(distances(b, a))


@given(counts.filter(any), st.integers(1, 50))
def test_equal_shares_have_no_distance_however_many_rows(rows: list[float], times: int) -> None:
    assert distances(np.array(rows), np.array(rows) * times) == pytest.approx(0.0, abs=1e-7)


@settings(deadline=None)
@given(counts.filter(any), counts.filter(any), counts.filter(any))
def test_a_detour_is_never_shorter(a: list[float], b: list[float], c: list[float]) -> None:
    left, middle, right = np.array(a), np.array(b), np.array(c)
    assert distances(left, right) <= distances(left, middle) + distances(middle, right) + 1e-9


def test_shares_without_overlap_are_one_apart() -> None:
    assert distances(np.array([5.0, 0.0]), np.array([0.0, 7.0])) == 1.0


def test_normal_values_half_a_deviation_apart_are_a_fifth_apart() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    assert distance(number(values.tolist()), number((values + 0.5).tolist())) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("moved_to", [4.0, 6.0, None, float("inf")])
def test_a_constant_column_that_takes_another_value_is_as_far_as_can_be(moved_to: float | None) -> None:
    assert distance(number([5.0] * 100), number([moved_to] * 100)) == 1.0
    assert distance(number([5.0] * 100), number([5.0] * 30)) == 0.0


def test_single_and_double_precision_of_one_number_are_the_same() -> None:
    assert distance(number([0.1, 0.7, 1e9 + 1] * 50), number([0.1, 0.7, 1e9 + 1] * 50, pl.Float32)) == 0.0


def test_a_value_that_fills_a_decile_has_a_bin_of_its_own() -> None:
    reference = number([0.0] * 60 + [float(each) for each in range(1, 41)])
    assert distance(reference, number([-0.5] * 60 + [float(each) for each in range(1, 41)])) > 0.5
    assert distance(reference, number([0.01] * 60 + [float(each) for each in range(1, 41)])) > 0.5


def test_a_category_never_seen_before_moves_the_column() -> None:
    assert distance(category(["AA"] * 50 + ["UA"] * 50), category(["AA"] * 50 + ["ZZ"] * 50)) > 0.4


def test_an_empty_column_is_far_from_a_full_one_and_not_from_another_empty_one() -> None:
    assert distance(number([None] * 9), number([1.0] * 9)) == 1.0
    assert distance(number([None] * 9), number([None] * 3)) == 0.0


numbers = st.none() | st.sampled_from([0.0, -1.0, 5.0, float("inf"), float("nan")]) | st.floats(-1e6, 1e6, width=32)


@settings(max_examples=80, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=80), st.lists(numbers, max_size=80))
def test_rows_are_placed_one_by_one_as_a_profile_of_them_counts(
    reference: list[float | None], window: list[float | None]
) -> None:
    _assert_places_as_it_counts(cut(number(reference)), number(window), pl.Series(window, dtype=pl.Float64))


@settings(max_examples=40, deadline=None)
@given(*[st.lists(st.none() | st.text("abc", max_size=2), max_size=60)] * 2)
def test_categories_are_placed_one_by_one_as_a_profile_of_them_counts(
    reference: list[str | None], window: list[str | None]
) -> None:
    _assert_places_as_it_counts(cut(category(reference)), category(window), pl.Series(window, dtype=pl.String))


def _assert_places_as_it_counts(bins: Bins, profiled: Distribution, values: pl.Series) -> None:
    placed = np.bincount(bins.place(values), minlength=len(bins.labels))
    assert placed.tolist() == pytest.approx(bins.rows(profiled).tolist())
    assert len(set(bins.labels)) == len(bins.labels) or bins.is_number
