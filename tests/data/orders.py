"""A small source of orders, kept in a frame, that its tests can spoil."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, RawTable, utc

ORDERS = RawTable(
    name="orders",
    columns={
        "order_id": pl.String(),
        "shop": pl.String(),
        "amount": pl.Float64(),
        "items": pl.Int64(),
        "note": pl.String(),
        "due": MOMENT,
    },
    keys=("order_id",),
)
START = utc("2024-03-01")


def orders(seed: int, *, day: int, rows: int = 400) -> pl.DataFrame:
    """One sound day of orders, the days alike: amounts around 50, a tenth without a note."""
    rng = np.random.default_rng([seed, day])
    moments = [START + timedelta(days=day, seconds=int(each)) for each in np.sort(rng.integers(1, 86_000, rows))]
    return pl.DataFrame(
        {
            "order_id": [f"{seed}-{day}-{each}" for each in range(rows)],
            "shop": rng.choice(["north", "south", "west"], rows, p=[0.5, 0.3, 0.2]),
            "amount": rng.lognormal(np.log(50), 0.4, rows).round(2),
            "items": rng.integers(1, 9, rows),
            "note": [None if missing else "as usual" for missing in rng.random(rows) < 0.1],
            "due": [
                moment + timedelta(hours=int(each))
                for moment, each in zip(moments, rng.integers(24, 72, rows), strict=True)
            ],
            EVENT: moments,
            CREATED: [
                moment + timedelta(seconds=int(each))
                for moment, each in zip(moments, rng.integers(0, 300, rows), strict=True)
            ],
        },
        schema=ORDERS.schema,
    ).sort(CREATED)


class FrameSource:
    """A source that answers from the frame it is given; it goes on."""

    name = "shop"
    tables = (ORDERS,)

    def __init__(self, frame: pl.DataFrame, schema_file: Path) -> None:
        self.frame, self.schema_file = frame, schema_file

    def span(self) -> tuple[datetime, datetime | None]:
        return START, None

    def read(self, table: str, after: datetime, until: datetime) -> pl.DataFrame:
        return self.frame.filter((pl.col(CREATED) > after) & (pl.col(CREATED) <= until))

    def count(self, table: str, until: datetime) -> int:
        return self.frame.filter(pl.col(CREATED) <= until).height
