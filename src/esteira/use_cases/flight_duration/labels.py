"""What came of a flight: how long it took from gate to gate, known when it landed."""

import polars as pl

from esteira.contract import CREATED, EVENT, Frames


def gate_to_gate_minutes(frames: Frames) -> pl.DataFrame:
    """One row a landed flight: minutes from leaving one gate to reaching the other; a flight without them has none."""
    return (
        frames["arrivals"]
        .filter(pl.col("gate_minutes").is_not_null())
        .select("flight_id", pl.col("gate_minutes").cast(pl.Float64).alias("outcome"), EVENT, CREATED)
    )
