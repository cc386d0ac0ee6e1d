"""Which flights are asked about: the published timetable, as entities of every use case about flights."""

from datetime import timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, PREDICTED_AT, Frames
from esteira.use_cases.flights.asked import ENTITY_KEYS


def flights_asked(schedules: pl.DataFrame, *, before: timedelta) -> pl.DataFrame:
    """One row a scheduled flight: keys, request inputs in seconds since 1970, asked ``before`` it should leave.

    A flight published again (another time, another aircraft) counts as last published.
    """
    newest = schedules.sort(CREATED, maintain_order=True).unique("flight_id", keep="last", maintain_order=True)
    asked = pl.col("scheduled_departure") - before
    return newest.select(
        *ENTITY_KEYS,
        pl.col("scheduled_departure").dt.epoch("s"),
        pl.col("scheduled_arrival").dt.epoch("s"),
        asked.dt.epoch("s").alias(PREDICTED_AT),
        asked.alias(EVENT),
        CREATED,
    )


def allowed_values(frames: Frames) -> dict[str, tuple[str, ...]]:
    """Airports and airlines that occur in the published schedules; a request naming another is refused."""
    schedules = frames["schedules"]
    return {key: tuple(schedules[key].drop_nulls().unique().sort()) for key in ("origin", "dest", "carrier")}
