"""water_use: how many litres a household will use on the day after tomorrow, so that pumps can be planned."""

from datetime import timedelta
from pathlib import Path

import polars as pl
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline

from esteira.contract import (
    CREATED,
    EVENT,
    Candidate,
    FeatureTable,
    Frames,
    MonitorLimits,
    RawTable,
    UseCase,
)
from esteira.encoding import DenseEncoder
from esteira.features.rolling import Window, rolling
from esteira.limits import GateLimits
from esteira.sources.files import Files, FilesSource

READINGS = RawTable(
    name="meter_readings", columns={"meter": pl.Int64(), "day": pl.Int64(), "litres": pl.Int64()}, keys=("meter", "day")
)
METERS = RawTable(name="meters", columns={"meter": pl.Int64(), "persons": pl.Int64()}, keys=("meter",))
SOURCE = FilesSource(
    name="waterworks",
    files=(
        Files(table=READINGS, pattern="readings.csv", event="read_at", created="received_at"),
        Files(table=METERS, pattern="meters.csv", event="since", created="since"),
    ),
    schema_file=Path(__file__).with_name("schema.json"),
)
AHEAD = timedelta(days=2)
USED = (
    Window("litres_last", "litres", "last", timedelta(days=7)),
    Window("litres_mean_7d", "litres", "mean", timedelta(days=7)),
    Window("litres_mean_28d", "litres", "mean", timedelta(days=28)),
)


def days_asked_about(frames: Frames) -> pl.DataFrame:
    """A reading opens the question about the day after next; it is asked at noon, when all readings are in."""
    readings = frames["meter_readings"]
    return readings.select(
        "meter",
        (pl.col("meter") * 100_000 + pl.col("day") + AHEAD.days).alias("meter_day"),
        (pl.col(EVENT) + timedelta(hours=12)).alias(EVENT),
        CREATED,
    )


def litres_used(frames: Frames) -> pl.DataFrame:
    """What was read for a day, known when the reading came in."""
    return frames["meter_readings"].select(
        (pl.col("meter") * 100_000 + pl.col("day")).alias("meter_day"),
        pl.col("litres").cast(pl.Float64).alias("outcome"),
        EVENT,
        CREATED,
    )


def meter_use(frames: Frames) -> pl.DataFrame:
    """What a household used lately."""
    return rolling(frames["meter_readings"], keys=["meter"], record=["meter", "day"], windows=USED)


def households(frames: Frames) -> pl.DataFrame:
    """Who lives behind a meter."""
    return frames["meters"].select("meter", "persons", EVENT, CREATED)


def ridge(*, seed: int, threads: int, device: str, alpha: float) -> Pipeline:
    """A linear model; it runs on one processor."""
    return Pipeline([("encode", DenseEncoder()), ("model", Ridge(alpha=alpha, random_state=seed))])


USE_CASE = UseCase(
    name="water_use",
    purpose="Plan pumps two days ahead.",
    owner="pumps@waterworks.example",
    kind="regression",
    source=SOURCE,
    feature_tables=(
        FeatureTable(
            name="meter_use", keys=("meter",), reads=("meter_readings",), lookback=timedelta(days=29),
            compute=meter_use, windows=USED,
        ),
        FeatureTable(
            name="households", keys=("meter",), reads=("meters",), lookback=timedelta(0), compute=households
        ),
    ),
    feature_service="water_use_v1",
    entity_id="meter_day",
    entity_keys=("meter_day", "meter"),
    request_inputs=(),
    entity_reads=("meter_readings",),
    build_entities=days_asked_about,
    outcome_reads=("meter_readings",),
    build_outcomes=litres_used,
    entity_values=lambda frames: {},
    slices=("persons",),
    label_delay=timedelta(days=3),
    horizon=timedelta(days=1),
    holdout=timedelta(days=14),
    candidates=(Candidate(name="ridge", build=ridge, parameters={"alpha": 1.0}),),
    threshold=0.0,
    bounds=(0.0, 5_000.0),
    is_served=False,
    gate=GateLimits(margin=5.0, baseline_gain=0.3, slice_margin=10.0, minimum_rows=200),
    monitor=MonitorLimits(minimum_rows=100, outcome_maturity=timedelta(days=3)),
    limits=("It knows households, not factories.",),
)  # fmt: skip
