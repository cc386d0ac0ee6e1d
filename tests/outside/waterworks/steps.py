"""A step for the flow train, plugged in by an entry point."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl


def weigh_households(use_case: str, as_of: datetime, record: Any) -> dict[str, Any]:
    """How many rows the challenger was trained from."""
    return {"use_case": use_case, "rows": pl.read_parquet(Path(record.training_set)).height}
