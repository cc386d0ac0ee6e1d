import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.contract import MOMENT, FeatureRows, utc
from esteira.errors import NotEnoughData, WrongColumns
from esteira.features.parity import DIFFERENCE_SCHEMA, Parity, compare, parity_frame

START = utc("2013-03-01")
ROWS = 400
COLUMNS = {
    "wind": ("weather",),
    "sky": ("weather",),
    "flights": ("congestion",),
    "delay_mean": ("congestion",),
    "wind_ratio": ("weather", "congestion"),
    "scheduled_hour": (),
    "observed_at": ("weather",),
}
TTLS = {"weather": timedelta(hours=3), "congestion": None}


def moment(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def clean(rows: int = ROWS) -> pl.DataFrame:
    """What both sides say when all is well: hourly weather, congestion by the minute, some of it missing."""
    as_of = [moment(24 + row * 0.37) for row in range(rows)]
    seen = [
        None if row % 11 == 0 else (at - timedelta(minutes=4)).replace(minute=0, second=0, microsecond=0)
        for row, at in enumerate(as_of)
    ]
    known = [None if at is None else at + timedelta(minutes=4) for at in seen]
    counted = [at - timedelta(minutes=row % 50 + 2) for row, at in enumerate(as_of)]
    features = FeatureRows(
        values={
            "wind": [None if at is None else 1.5 + 0.25 * (row % 17) for row, at in enumerate(seen)],
            "sky": [None if at is None else ("clear", "rain")[row % 2] for row, at in enumerate(seen)],
            "flights": [row % 30 for row in range(rows)],
            "delay_mean": [row * 0.77 - 5 for row in range(rows)],
            "wind_ratio": [None if at is None else (row % 7) * 0.3 + 0.1 for row, at in enumerate(seen)],
            "scheduled_hour": [at.hour for at in as_of],
            "observed_at": seen,
        },
        event_times={"weather": seen, "congestion": counted},
        created_times={"weather": known, "congestion": [at + timedelta(seconds=30) for at in counted]},
    )
    return parity_frame([f"p{row:05}" for row in range(rows)], as_of, as_of, features)


def compared(logged: pl.DataFrame, replayed: pl.DataFrame | None = None) -> Parity:
    return compare(logged, clean(logged.height) if replayed is None else replayed, COLUMNS, ttls=TTLS)


def every(step: int, change: dict[str, pl.Expr | Any]) -> pl.DataFrame:
    """The clean frame with ``change`` in every so-manyth row that has weather."""
    frame = clean().with_row_index("row")
    here = (pl.col("row") % step == 1) & pl.col("wind").is_not_null()
    changes = {
        name: pl.when(here).then(expr if isinstance(expr, pl.Expr) else pl.lit(expr)).otherwise(pl.col(name))
        for name, expr in change.items()
    }
    return frame.with_columns(**changes).drop("row")


def late(view: str, hours: float) -> dict[str, pl.Expr]:
    return {
        f"{view}__{name}": pl.col(f"{view}__{name}") - timedelta(hours=hours)
        for name in ("event_timestamp", "created_timestamp")
    }


FAULTS: dict[str, tuple[Callable[[], pl.DataFrame], str, set[str]]] = {
    "an expired value was served": (
        lambda: every(9, {"wind": 9.125, "weather__event_timestamp": pl.col("as_of") - timedelta(hours=5)}),
        "expired",
        {"wind"},
    ),
    "the online store had an older row": (
        lambda: every(9, {"wind": pl.col("wind") + 3.3, "sky": "fog", **late("weather", 1)}),
        "late write",
        {"wind", "sky"},
    ),
    "the online store had no row yet": (
        lambda: every(9, {"flights": None, **dict.fromkeys(late("congestion", 1))}),
        "late write",
        {"flights"},
    ),
    "numbers were logged as text": (
        lambda: clean().with_columns(pl.col("flights").cast(pl.String)),
        "type",
        {"flights"},
    ),
    "fractions were cut to whole numbers": (
        lambda: clean().with_columns(pl.col("delay_mean").cast(pl.Int64)),
        "type",
        {"delay_mean"},
    ),
    "a missing value was served as zero": (
        lambda: clean().with_columns(pl.col("wind").fill_null(0.0)),
        "default",
        {"wind"},
    ),
    "the hour was taken in New York": (
        lambda: clean().with_columns((pl.col("scheduled_hour") - 5) % 24),
        "time zone",
        {"scheduled_hour"},
    ),
    "a moment was read in another zone": (
        lambda: clean().with_columns(pl.col("observed_at") + timedelta(hours=5.5)),
        "time zone",
        {"observed_at"},
    ),
    "event times came back in the process's zone": (
        lambda: clean().with_columns(
            pl.col("weather__event_timestamp") - timedelta(hours=4),
            pl.when(pl.col("as_of") - pl.col("weather__event_timestamp") < timedelta(minutes=20))
            .then("wind")
            .alias("wind"),
        ),
        "time zone",
        {"wind", "weather__event_timestamp"},
    ),
    "the service computed it differently": (
        lambda: every(9, {"wind_ratio": pl.col("wind_ratio") * 60}),
        "transformation",
        {"wind_ratio"},
    ),
    "a count was off by one": (
        lambda: clean().with_columns(pl.col("flights") + 1),
        "transformation",
        {"flights"},
    ),
    "a value appeared from nowhere": (
        lambda: clean().with_columns(pl.col("wind").fill_null(pl.col("flights") * 1.37)),
        "unknown",
        {"wind"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_injected_fault_is_found_and_named(fault: str) -> None:
    inject, named, columns = FAULTS[fault]
    parity = compared(inject())
    assert set(parity.counts) == {named}, parity.sentences
    assert set(parity.counts[named]) == columns
    assert parity.unexplained == parity.differences.height > 0
    assert named in parity.sentences[0]


def test_the_same_values_are_said_to_be_the_same() -> None:
    parity = compared(clean())
    assert parity.unexplained == 0
    assert parity.differences.schema == DIFFERENCE_SCHEMA
    assert parity.sentences == (f"All {ROWS * 7:,} values of {ROWS} predictions are the same online and offline.",)


def test_all_differing_values_are_found_and_no_other() -> None:
    logged = every(9, {"wind_ratio": pl.col("wind_ratio") * 60})
    expected = logged.filter(logged["wind_ratio"].ne_missing(clean()["wind_ratio"]))["prediction_id"].to_list()
    assert compared(logged).differences["prediction_id"].to_list() == expected


def test_a_row_known_only_after_serving_had_ingested_is_explained() -> None:
    logged = every(9, {"wind": pl.col("wind") + 3.3, **late("weather", 1)})
    logged = logged.with_columns(horizon=pl.col("weather__created_timestamp") + timedelta(minutes=1))
    parity = compared(logged)
    assert set(parity.counts) == {"late write"}
    assert parity.unexplained == 0
    assert "known only after serving had last ingested" in parity.sentences[0]


def test_without_a_horizon_a_late_write_is_not_explained() -> None:
    logged = every(9, {"wind": pl.col("wind") + 3.3, **late("weather", 1)})
    assert compared(logged.with_columns(horizon=pl.lit(None, MOMENT))).unexplained > 0


def test_a_value_seen_before_it_was_known_is_not_called_late() -> None:
    later = {
        f"weather__{name}": pl.col("as_of") + timedelta(hours=1) for name in ("event_timestamp", "created_timestamp")
    }
    assert set(compared(every(9, {"wind": 7.77, **later})).counts) == {"unknown"}


def test_several_faults_in_one_log_are_told_apart() -> None:
    logged = every(9, {"wind": pl.col("wind") + 3.3, **late("weather", 1)}).with_columns(
        (pl.col("scheduled_hour") - 5) % 24, pl.col("flights").cast(pl.String), pl.col("delay_mean") * 60
    )
    counts = compared(logged).counts
    assert {name: set(columns) for name, columns in counts.items()} == {
        "late write": {"wind"},
        "time zone": {"scheduled_hour"},
        "type": {"flights"},
        "transformation": {"delay_mean"},
    }


def test_hours_with_minutes_as_a_fraction_show_a_lost_zone_too() -> None:
    with_minutes = pl.col("as_of").dt.hour() + pl.col("as_of").dt.minute() / 60
    right = clean().with_columns(with_minutes.alias("scheduled_hour"))
    logged = right.with_columns((pl.col("scheduled_hour") + 5) % 24)
    assert set(compared(logged, right).counts) == {"time zone"}
    slow = right.with_columns((pl.col("scheduled_hour") + 0.1) % 24)
    assert set(compared(slow, right).counts) == {"transformation"}


def test_stalled_hourly_data_is_late_and_not_a_lost_zone() -> None:
    logged = clean().with_columns(pl.col("wind") * 1.1, **late("weather", 1))
    assert set(compared(logged).counts) == {"late write"}


def test_numbers_within_the_tolerance_are_equal_and_nan_is_missing() -> None:
    logged = clean().with_columns(pl.col("wind").fill_null(float("nan")), pl.col("delay_mean") * (1 + 1e-8))
    assert compared(logged.with_columns(pl.col("flights").cast(pl.Float32))).unexplained == 0
    assert compared(clean().with_columns(pl.col("delay_mean") + 2e-3)).unexplained == ROWS


def test_a_truth_value_among_numbers_is_not_taken_for_one() -> None:
    at = [moment(0)] * 3
    logged = parity_frame(["a", "b", "c"], at, at, FeatureRows({"x": [1.0, True, None]}, {}, {}))
    replayed = parity_frame(["a", "b", "c"], at, at, FeatureRows({"x": [1.0, 1.0, None]}, {}, {}))
    assert set(compare(logged, replayed, {"x": ()}, ttls={}).counts) == {"type"}


def test_the_order_of_rows_does_not_matter() -> None:
    assert compared(clean().sample(fraction=1, shuffle=True, seed=1)).unexplained == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=20, unique=True))
def test_each_changed_value_is_counted_once(changed: list[int]) -> None:
    logged = clean().with_row_index("row")
    logged = logged.with_columns(
        pl.when(pl.col("row").is_in(changed))
        .then(pl.col("delay_mean") * 3 + 1000.5)
        .otherwise("delay_mean")
        .alias("delay_mean")
    ).drop("row")
    parity = compared(logged)
    assert parity.differences["prediction_id"].to_list() == [f"p{row:05}" for row in sorted(changed)]


def test_a_prediction_that_was_not_replayed_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="1 of 400 logged predictions were not replayed, the first is 'p00007'"):
        compared(clean(), clean().filter(pl.col("prediction_id") != "p00007"))


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(WrongColumns, match="repeat a prediction_id"):
        compared(pl.concat([clean(), clean().head(1)]), clean())


def test_a_frame_without_a_view_s_times_is_refused() -> None:
    with pytest.raises(WrongColumns, match="the replayed frame has no 'weather__created_timestamp'"):
        compared(clean(), clean().drop("weather__created_timestamp"))


def test_ten_thousand_requests_of_sixty_features_take_seconds() -> None:
    rows = 10_000
    names = [f"feature_{place}" for place in range(60)]
    wide = clean(rows).with_columns(**{name: pl.col("delay_mean") + place for place, name in enumerate(names)})
    columns = {name: ("congestion",) if place % 2 else ("weather", "congestion") for place, name in enumerate(names)}
    logged = wide.with_columns(pl.col(name) * 2 for name in names[:20])
    started = time.perf_counter()
    parity = compare(logged, wide, columns, ttls=TTLS)
    assert time.perf_counter() - started < 10
    assert parity.values == 600_000
    assert set(parity.counts["transformation"]) == set(names[:20])
