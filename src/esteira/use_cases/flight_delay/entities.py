"""Which flights are asked about, and when: every scheduled flight, two hours before it should leave."""

from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, Frames

ASKED_BEFORE = timedelta(hours=2)


def upcoming_flights(frames: Frames) -> pl.DataFrame:
    """One row a scheduled flight: keys, request inputs in seconds since 1970, asked two hours before departure.

    A flight published again (another time, another aircraft) counts as last published.
    """
    newest = (
        frames["schedules"].sort(CREATED, maintain_order=True).unique("flight_id", keep="last", maintain_order=True)
    )
    asked = pl.col("scheduled_departure") - ASKED_BEFORE
    return newest.select(
        "flight_id",
        "carrier",
        "flight",
        "origin",
        "dest",
        "tailnum",
        pl.col("scheduled_departure").dt.epoch("s"),
        pl.col("scheduled_arrival").dt.epoch("s"),
        asked.dt.epoch("s").alias("predicted_at"),
        asked.alias(EVENT),
        CREATED,
    )


def allowed_values(frames: Frames) -> dict[str, tuple[str, ...]]:
    """Airports and airlines that occur in the published schedules; a request naming another is refused."""
    schedules = frames["schedules"]
    return {key: tuple(schedules[key].drop_nulls().unique().sort()) for key in ("origin", "dest", "carrier")}
