import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from esteira.errors import DataError, UnknownName, WrongColumns
from esteira.model_card import Column
from esteira.monitoring.profile import build_profile, merge, read_profile

DELAY = Column(name="delay", type="number", view="origin")
CARRIER = Column(name="carrier", type="category", view="schedule")
BOTH = [DELAY, CARRIER]

Row = tuple[float | None, str | None]
rows = st.lists(
    st.tuples(
        st.none() | st.floats(width=32) | st.integers(-100, 100).map(float),
        st.none() | st.sampled_from(["AA", "UA", "É", ""]),
    ),
    max_size=60,
)


def frame(of: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(of, schema={"delay": pl.Float64, "carrier": pl.String}, orient="row")


def test_a_profile_counts_rows_missing_values_and_categories() -> None:
    found = read_profile(build_profile(frame([(1.0, "AA"), (None, "AA"), (math.nan, None), (3.0, "UA")]), BOTH))
    delay, carrier = found.column("delay"), found.column("carrier")
    assert (delay.count, delay.missing, delay.mean, delay.lowest, delay.highest) == (4, 2, 2.0, 1.0, 3.0)
    assert delay.deviation == pytest.approx(math.sqrt(2))
    assert (carrier.count, carrier.missing, dict(carrier.categories)) == (4, 1, {"AA": 2, "UA": 1})
    assert found.rows == 4


def test_one_infinity_is_counted_apart_and_leaves_the_mean_alone() -> None:
    found = read_profile(build_profile(frame([(1.0, "AA"), (math.inf, "AA"), (1e300, "AA"), (3.0, "AA")]), BOTH))
    assert found.column("delay").infinite == 2
    assert found.column("delay").mean == 2.0
    assert found.column("delay").highest == 3.0


def test_quantiles_and_shares_of_a_small_window_are_exact() -> None:
    column = read_profile(build_profile(frame([(float(each), "AA") for each in range(1, 11)]), BOTH)).column("delay")
    assert column.cdf([0.0, 1.0, 5.5, 10.0]).tolist() == [0.0, 0.1, 0.5, 1.0]
    assert column.quantile([0.0, 0.5, 1.0]).tolist() == [1.0, 6.0, 10.0]


def test_shares_of_a_large_window_are_right_within_half_a_percent() -> None:
    values = np.random.default_rng(1).normal(size=50_000)
    column = read_profile(build_profile(pl.DataFrame({"delay": values}), [DELAY])).column("delay")
    points = np.linspace(-2, 2, 41)
    assert np.abs(column.cdf(points) - [(values <= point).mean() for point in points]).max() < 0.005
    assert column.mean == pytest.approx(values.mean())
    assert column.deviation == pytest.approx(values.std(ddof=1))


def test_a_window_without_rows_has_a_profile_that_says_so() -> None:
    found = read_profile(build_profile(frame([]), BOTH))
    assert found.rows == 0
    assert found.column("delay").mean is None
    assert found.column("delay").cdf([0.0]).tolist() == [0.0]
    assert found.column("delay").quantile([0.5]).size == 0


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_merging_parts_in_any_order_says_what_the_whole_says(of: list[Row], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(of)), max_size=3)))
    parts = [of[start:end] for start, end in zip([0, *cuts], [*cuts, len(of)], strict=True)]
    profiles = data.draw(st.permutations([build_profile(frame(part), BOTH) for part in parts]))
    merged, whole = read_profile(merge(profiles)), read_profile(build_profile(frame(of), BOTH))
    for name in ("delay", "carrier"):
        left, right = merged.column(name), whole.column(name)
        assert (left.count, left.missing, left.infinite) == (right.count, right.missing, right.infinite)
        assert (left.lowest, left.highest, left.categories) == (right.lowest, right.highest, right.categories)
        assert np.array_equal(left.quantiles, right.quantiles)
        scale = max(abs(right.lowest or 0.0), abs(right.highest or 0.0))
        for merged_figure, whole_figure in ((left.mean, right.mean), (left.deviation, right.deviation)):
            if whole_figure is None:
                assert merged_figure is None
            else:
                assert merged_figure == pytest.approx(whole_figure, rel=1e-9, abs=1e-6 * scale)


def test_columns_that_only_one_profile_has_are_kept() -> None:
    of = frame([(1.0, "AA")])
    merged = read_profile(merge([build_profile(of, [DELAY]), build_profile(of, [CARRIER])]))
    assert sorted(merged.columns) == ["carrier", "delay"]


def test_columns_of_two_types_are_not_merged() -> None:
    as_category = Column(name="delay", type="category", view="origin")
    of = frame([(1.0, "AA")])
    with pytest.raises(DataError, match="number in one profile and a category in another"):
        merge([build_profile(of, [DELAY]), build_profile(of, [as_category])])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_flipped_bit_is_noticed(data: st.DataObject) -> None:
    profile = bytearray(build_profile(frame([(1.0, "AA"), (2.0, "UA")]), BOTH))
    profile[data.draw(st.integers(0, len(profile) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DataError, match="Build it again from the prediction log"):
        read_profile(bytes(profile))


@pytest.mark.parametrize("damaged", [b"", b"short", b"x" * 100])
def test_something_else_is_not_taken_for_a_profile(damaged: bytes) -> None:
    with pytest.raises(DataError, match="damaged"):
        merge([damaged])


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no profile to merge"):
        merge([])


def test_whylogs_itself_opens_a_profile() -> None:
    view = DatasetProfileView.deserialize(build_profile(frame([(1.0, "AA"), (None, "UA")]), BOTH))
    summary = view.get_column("delay").to_summary_dict()
    assert (summary["counts/n"], summary["counts/null"], summary["distribution/mean"]) == (2, 1, 1.0)


def test_columns_that_cannot_be_profiled_are_named() -> None:
    of = frame([(1.0, "AA")])
    with pytest.raises(WrongColumns, match="not there: wind"):
        build_profile(of, [Column(name="wind", type="number", view="weather")])
    with pytest.raises(WrongColumns, match="'carrier' as numbers: it holds String"):
        build_profile(of, [Column(name="carrier", type="number", view="schedule")])
    with pytest.raises(WrongColumns, match="named twice: delay"):
        build_profile(of, [DELAY, DELAY])
    with pytest.raises(UnknownName, match=r"Unknown profiled column 'wind'. Known: delay"):
        read_profile(build_profile(of, [DELAY])).column("wind")


def test_truth_values_count_as_numbers_and_whole_numbers_as_categories() -> None:
    of = pl.DataFrame({"delay": [True, False, None], "carrier": [1, 1, 2]})
    found = read_profile(build_profile(of, BOTH))
    assert found.column("delay").mean == 0.5
    assert dict(found.column("carrier").categories) == {"1": 2, "2": 1}
