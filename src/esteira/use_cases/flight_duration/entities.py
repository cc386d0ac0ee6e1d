"""Which flights are asked about, and when: every scheduled flight, a day before it should leave."""

from datetime import timedelta

import polars as pl

from esteira.contract import Frames
from esteira.use_cases.flights.schedules import flights_asked

ASKED_BEFORE = timedelta(hours=24)


def planned_flights(frames: Frames) -> pl.DataFrame:
    """One row a scheduled flight: keys, request inputs in seconds since 1970, asked 24 hours before departure."""
    return flights_asked(frames["schedules"], before=ASKED_BEFORE)
