"""Predictions that were given, collected from the prediction log into a table."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
from pydantic_core import to_jsonable_python

from esteira.contract import MOMENT
from esteira.stores.answers import collection
from esteira.stores.answers.prediction_log import LoggedAnswers, segments_path
from esteira.stores.data import tables
from esteira.traffic import CHALLENGER, CHAMPION, Role

PREDICTIONS: dict[str, pl.DataType] = {
    "prediction_id": pl.String(),
    "use_case": pl.String(),
    "release": pl.Int64(),
    "model_version": pl.String(),
    "feature_service": pl.String(),
    "entity_id": pl.String(),
    "as_of": MOMENT,
    "requested_at": MOMENT,
    "horizon": MOMENT,
    "source": pl.String(),
    "prediction": pl.Float64(),
    "decision": pl.Boolean(),
    # JSON: what post-processing changed; then objects, as features differ from release to release.
    "changes": pl.String(),
    "inputs": pl.String(),
    "features": pl.String(),
    "event_times": pl.String(),
    "created_times": pl.String(),
    "request_id": pl.String(),
    "role": pl.String(),
    "shadow_of": pl.String(),
    "share": pl.Float64(),
    # Of requested_at, in UTC: the table is partitioned by it.
    "day": pl.Date(),
}
_JSON = ("changes", "inputs", "features", "event_times", "created_times")


def collect(use_case: str) -> int:
    """Move every answer in the prediction log into the table ``predictions_<use_case>``; return how many.

    Each answer arrives exactly once, whatever is killed (see collection).
    """
    return collection.collect(segments_path(use_case), table_name(use_case), _rows, PREDICTIONS, partition_by="day")


def scan_predictions(use_case: str) -> pl.LazyFrame:
    """All collected predictions in the columns of ``PREDICTIONS``. Raises MissingData when there never were any."""
    return tables.scan(table_name(use_case))


def read_predictions(
    use_case: str,
    after: datetime | None = None,
    until: datetime | None = None,
    *,
    roles: Sequence[Role] = (CHAMPION,),
) -> pl.DataFrame:
    """Collected predictions with ``after < as_of <= until``, in the columns of ``PREDICTIONS``, oldest first.

    The champion's only, unless ``roles`` are named: what a challenger says is no evidence about what is released.
    Raises MissingData when none were ever collected.
    """
    rows = scan_predictions(use_case).filter(pl.col("role").is_in(roles))
    if after is not None:
        rows = rows.filter(pl.col("as_of") > after)
    if until is not None:
        rows = rows.filter(pl.col("as_of") <= until)
    return rows.sort("as_of", "prediction_id").collect()


def _rows(line: bytes) -> list[dict[str, Any]]:
    logged = LoggedAnswers.model_validate_json(line)
    day = logged.requested_at.astimezone(UTC).date()
    return [
        {**row, **{name: json.dumps(row[name], default=_plain) for name in _JSON}, "day": day} for row in logged.rows()
    ]


def _plain(value: Any) -> Any:
    return to_jsonable_python(value)  # moments, and the changes of post-processing


def table_name(use_case: str) -> str:
    """The table of a use case's collected predictions."""
    return f"predictions_{use_case}"


def asked_lately(use_case: str, after: datetime, until: datetime, columns: Sequence[str]) -> pl.DataFrame | None:
    """What requests brought along of ``columns``, for predictions with ``after < as_of <= until``; None if none."""
    if not tables.exists(table_name(use_case)):
        return None
    asked = read_predictions(use_case, after, until, roles=(CHAMPION, CHALLENGER))["inputs"]
    return asked.str.json_decode(pl.Struct(dict.fromkeys(columns, pl.String))).struct.unnest() if len(asked) else None
