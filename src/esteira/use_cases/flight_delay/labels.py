"""What came of a flight: late or not, known when it landed."""

import polars as pl

from esteira.contract import CREATED, EVENT, Frames
from esteira.use_cases.flights.events import LATE_MINUTES


def arrived_late(frames: Frames) -> pl.DataFrame:
    """One row a landed flight: 1.0 if 15 minutes late or more, else 0.0. Cancelled and diverted flights have none."""
    return frames["arrivals"].select(
        "flight_id", (pl.col("arr_delay") >= LATE_MINUTES).cast(pl.Float64).alias("outcome"), EVENT, CREATED
    )
