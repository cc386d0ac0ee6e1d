"""What is wanted of a new use case, and what was decided: everything its files say."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl

from esteira.scaffold.records import Records


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What its author says of a new use case; columns are named as in the file."""

    name: str
    source: Path
    entity_key: str
    timestamp: str
    label: str
    kind: Literal["binary", "regression"]
    ahead: timedelta | None = None
    """Predict the label of the entity's row that comes so much later."""
    label_after: timedelta | None = None
    """Predict the label of the row itself, which is known so much later than the rest of the row."""
    positive: str | None = None
    """Binary: the value of the label that means yes, where that is not plain."""
    without: tuple[str, ...] = ()
    owner: str = "me@example.com"
    zone: str = "UTC"
    is_served: bool = True


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature: an aggregate of a column, ``last`` or ``mean``, over a window; ``type`` as views.py calls it."""

    name: str
    column: str
    aggregate: str
    window: str
    """LATEST, SHORT or LONG."""
    type: Literal["number", "count", "word"]
    description: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything the files of a new use case say."""

    wanted: Wanted
    records: Records
    key: str
    timestamp: str
    label: str
    types: dict[str, str]
    """Our name of each column that is read -> its Polars type; not the timestamp's."""
    without: tuple[str, ...]
    features: tuple[Feature, ...]
    left_out: dict[str, str]
    """Column -> why it became no feature."""
    latest: timedelta
    short: timedelta | None
    long: timedelta | None
    delay: timedelta
    """From the question's row to its outcome, at least."""
    holdout: timedelta
    yes: str | None
    """The label's value that means yes, as code; None for a number."""
    known_keys: bool
    slices: tuple[str, ...]
    bounds: tuple[float, float]
    margin: float
    rows_a_holdout: int
    first: datetime
    moments: pl.Series
    """When each row was true, UTC."""
    example_key: Any

    @property
    def asked_after(self) -> timedelta:
        """How long after its row a question is asked: late enough that a batch made ahead has met it."""
        return min(timedelta(days=1), self.delay / 2)

    @property
    def rounding(self) -> float:
        """By how much two answers may differ and still be the same, in the outcome's unit."""
        return 1e-5 if self.wanted.kind == "binary" else float(f"{1e-6 * max(1.0, *map(abs, self.bounds)):.1g}")

    @property
    def label_delay(self) -> timedelta:
        """The longest an outcome may take."""
        return 2 * self.delay if self.wanted.ahead else self.delay
