import numpy as np
import polars as pl
import pytest

from esteira.errors import DataError, NotEnoughData
from esteira.model_card import Column
from esteira.monitoring.distribution import Profile
from esteira.monitoring.drift import Drift, Thresholds, calibrate, measure
from esteira.monitoring.profile import build_profile, read_profile

COLUMNS = [
    *(Column(name=f"x{each}", type="number", view="v") for each in range(6)),
    Column(name="carrier", type="category", view="v"),
    Column(name="constant", type="number", view="v"),
    Column(name="prediction", type="number", view="model"),
]
IMPORTANCES = {"x0": 0.4, "x1": 0.3, "x2": 0.1, "x3": 0.1, "x4": 0.05, "x5": 0.03, "carrier": 0.02}
DAYS, PER_DAY = 40, 200


def history(seed: int, days: int = DAYS) -> tuple[pl.DataFrame, pl.Series]:
    """Days that differ from each other by half the spread within a day, as weather makes them."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), PER_DAY)
    values = {f"x{each}": rng.normal(size=days)[day] / 2 + rng.normal(size=day.size) for each in range(6)}
    frame = pl.DataFrame(
        {
            **values,
            "carrier": rng.choice(["AA", "UA", "DL"], day.size),
            "constant": np.ones(day.size),
            "prediction": 1 / (1 + np.exp(-values["x0"])),
        }
    )
    return frame, pl.Series(day)


def profiled(frame: pl.DataFrame) -> Profile:
    return read_profile(build_profile(frame, COLUMNS))


@pytest.fixture(scope="module")
def reference() -> Profile:
    return profiled(history(0)[0])


@pytest.fixture(scope="module")
def thresholds(reference: Profile) -> Thresholds:
    frame, days = history(0)
    return calibrate(reference, frame, COLUMNS, importances=IMPORTANCES, days=days, window_rows=7 * PER_DAY, seed=3)


def drift_of(frame: pl.DataFrame, reference: Profile, thresholds: Thresholds) -> Drift:
    return measure(reference, profiled(frame), thresholds, IMPORTANCES)


def test_the_reference_itself_has_not_drifted(reference: Profile, thresholds: Thresholds) -> None:
    found = drift_of(history(0)[0], reference, thresholds)
    assert found.known
    assert found.score == 0.0
    assert max(column.distance for column in found.columns) < 0.01


def test_new_weeks_like_the_old_ones_rarely_move_anything(reference: Profile, thresholds: Thresholds) -> None:
    weeks = [drift_of(history(seed, days=7)[0], reference, thresholds) for seed in range(1, 41)]
    assert sum(bool(week.moved) for week in weeks) <= 4


def test_thresholds_know_that_rows_of_a_day_resemble_each_other(reference: Profile, thresholds: Thresholds) -> None:
    frame, days = history(0)
    shuffled = pl.Series(np.random.default_rng(0).permutation(days.to_numpy()))
    blind = calibrate(
        reference, frame, COLUMNS, importances=IMPORTANCES, days=shuffled, window_rows=7 * PER_DAY, seed=3
    )
    assert thresholds.columns["x0"] > 1.5 * blind.columns["x0"]


def test_what_moved_is_ranked_first_and_said_with_its_figures(reference: Profile, thresholds: Thresholds) -> None:
    window = history(50, days=7)[0].with_columns(pl.col("x1") + 2.0, constant=pl.lit(2.0))
    found = drift_of(window, reference, thresholds)
    assert set(found.moved) == {"x1", "constant"}
    assert found.columns[0].name == "x1"
    assert found.score == pytest.approx(0.3 / 1.4)
    assert found.sentences[0] == "2 of 9 columns moved, with 21% of the importance, in 1400 rows."
    assert "x1 moved: distance 0.6" in found.sentences[1]
    assert sum(found.columns[0].window) == pytest.approx(1.0)
    assert len(found.columns[0].bins) == len(found.columns[0].window) == len(found.columns[0].reference)


def test_predictions_weigh_as_much_as_the_most_important_column(reference: Profile, thresholds: Thresholds) -> None:
    found = drift_of(history(50, days=7)[0].with_columns(prediction=pl.lit(0.99)), reference, thresholds)
    assert found.moved == ("prediction",)
    assert found.score == pytest.approx(0.4 / 1.4)


@pytest.mark.parametrize("rows", [0, 1, 699])
def test_a_small_window_is_unknown_and_never_said_not_to_drift(
    rows: int, reference: Profile, thresholds: Thresholds
) -> None:
    found = drift_of(history(1, days=7)[0].head(rows), reference, thresholds)
    assert not found.known
    assert found.columns == ()
    assert found.sentences == (f"Drift is unknown: the window has {rows} rows, at least 700 are needed.",)


def test_missing_values_that_become_common_are_drift(reference: Profile, thresholds: Thresholds) -> None:
    window = history(50, days=7)[0].with_columns(x2=pl.lit(None, dtype=pl.Float64))
    found = drift_of(window, reference, thresholds)
    assert found.moved == ("x2",)
    assert "missing 0.0% to 100.0%" in found.columns[0].sentence


def test_same_seed_same_thresholds(reference: Profile, thresholds: Thresholds) -> None:
    frame, days = history(0)
    again = calibrate(reference, frame, COLUMNS, importances=IMPORTANCES, days=days, window_rows=7 * PER_DAY, seed=3)
    assert again == thresholds
    assert Thresholds.model_validate_json(thresholds.model_dump_json()) == thresholds


def test_small_windows_get_wider_thresholds_than_large_ones(reference: Profile, thresholds: Thresholds) -> None:
    frame, days = history(0)
    thin = calibrate(reference, frame, COLUMNS, importances=IMPORTANCES, days=days, window_rows=50, seed=3)
    assert all(thin.columns[name] > thresholds.columns[name] for name in thin.columns if name != "constant")


def test_short_windows_get_wider_thresholds_than_long_ones(reference: Profile) -> None:
    frame, days = history(0)
    daily, weekly = (
        calibrate(
            reference,
            frame,
            COLUMNS,
            importances=IMPORTANCES,
            days=days,
            window_rows=PER_DAY,
            window_days=window_days,
            seed=3,
        )
        for window_days in (1, 7)
    )
    assert all(daily.columns[f"x{each}"] > 1.3 * weekly.columns[f"x{each}"] for each in range(6))


def test_without_importances_any_column_that_moves_is_an_alarm(reference: Profile, thresholds: Thresholds) -> None:
    frame, days = history(0)
    strict = calibrate(reference, frame, COLUMNS, days=days, window_rows=7 * PER_DAY, seed=3)
    assert all(strict.columns[name] >= thresholds.columns[name] for name in strict.columns)


def test_a_history_too_short_to_know_itself_is_refused(reference: Profile) -> None:
    frame, days = history(0, days=3)
    with pytest.raises(NotEnoughData, match="600 rows of 3 days"):
        calibrate(reference, frame, COLUMNS, importances=IMPORTANCES, days=days, window_rows=100, seed=3)
    frame, days = history(0)
    with pytest.raises(NotEnoughData, match="two windows at least"):
        calibrate(reference, frame, COLUMNS, importances=IMPORTANCES, days=days, window_rows=frame.height, seed=3)
    with pytest.raises(DataError, match="Give the day of each row"):
        calibrate(reference, frame, COLUMNS, importances=IMPORTANCES, days=days.head(5), window_rows=100, seed=3)
