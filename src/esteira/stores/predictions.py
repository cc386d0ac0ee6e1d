"""Predictions that were given, collected from the prediction log; predictions made ahead, looked up by entity."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import polars as pl

from esteira.contract import MOMENT
from esteira.errors import WrongColumns
from esteira.model_card import Frozen
from esteira.settings import settings
from esteira.stores import collection, tables
from esteira.stores.prediction_log import LoggedPrediction, segments_path

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
    # JSON objects: which features there are differs from release to release.
    "inputs": pl.String(),
    "features": pl.String(),
    "event_times": pl.String(),
    "created_times": pl.String(),
    "share": pl.Float64(),
    # Of requested_at, in UTC: the table is partitioned by it.
    "day": pl.Date(),
}
CACHED: dict[str, pl.DataType] = {
    "entity_id": pl.String(),
    "prediction": pl.Float64(),
    "as_of": MOMENT,
    "computed_at": MOMENT,
    "event_times": pl.String(),
    "missing": pl.String(),
}
_JSON = ("inputs", "features", "event_times", "created_times")


class CachedPrediction(Frozen):
    """A prediction made ahead for one entity."""

    prediction_id: str
    prediction: float
    as_of: datetime
    computed_at: datetime
    event_times: dict[str, datetime | None]
    missing: tuple[str, ...]


def collect(use_case: str) -> int:
    """Move every whole line of the prediction log into the table ``predictions_<use_case>``; return how many.

    Each line arrives exactly once, whatever is killed (see collection).
    """
    return collection.collect(segments_path(use_case), _table(use_case), _row, PREDICTIONS, partition_by="day")


def scan_predictions(use_case: str) -> pl.LazyFrame:
    """Collected predictions in the columns of ``PREDICTIONS``. Raises MissingData when none were ever collected."""
    return tables.scan(_table(use_case))


def read_predictions(use_case: str, after: datetime | None = None, until: datetime | None = None) -> pl.DataFrame:
    """Collected predictions with ``after < as_of <= until``, in the columns of ``PREDICTIONS``, oldest first.

    Raises MissingData when none were ever collected.
    """
    rows = scan_predictions(use_case)
    if after is not None:
        rows = rows.filter(pl.col("as_of") > after)
    if until is not None:
        rows = rows.filter(pl.col("as_of") <= until)
    return rows.sort("as_of", "prediction_id").collect()


def write_cached(use_case: str, epoch: str, rows: pl.DataFrame) -> int:
    """Make ``rows`` (columns of ``CACHED``, all of one ``as_of``) the epoch's cached predictions; return how many.

    They replace the epoch's earlier ones in one transaction: a reader finds the old batch or the new, never a mixture.
    Every batch is also kept in the table ``cached_predictions_<use_case>``. The same batch twice changes nothing.
    Raises WrongColumns when columns or types differ, or entities or moments do not fit one batch.
    """
    if dict(rows.schema) != CACHED:
        raise WrongColumns(f"Cached predictions have the columns {dict(rows.schema)}. Expected {CACHED}.")
    if rows["entity_id"].n_unique() < rows.height or rows["as_of"].n_unique() > 1:
        raise WrongColumns(
            "A batch of cached predictions holds each entity once, all of one as_of. Nothing was written."
        )
    if rows.height:
        as_of = rows["as_of"][0]
        history = rows.with_columns(pl.lit(epoch).alias("epoch"))
        tables.append(f"cached_{_table(use_case)}", history, until=as_of, writer=f"precompute-{epoch}")
    with closing(_cache()) as cache, cache:
        cache.execute("BEGIN IMMEDIATE")
        cache.execute("DELETE FROM cached WHERE use_case = ? AND epoch = ?", (use_case, epoch))
        cache.executemany(
            "INSERT INTO cached VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (use_case, epoch, entity, prediction, as_of.isoformat(), computed_at.isoformat(), times, missing)
                for entity, prediction, as_of, computed_at, times, missing in rows.iter_rows()
            ),
        )
    return rows.height


class CachedPredictions:
    """Look-ups in the cached predictions of one use case, over one connection; for one thread."""

    def __init__(self, use_case: str) -> None:
        """Connect to the cache, which is empty until the precompute flow has run."""
        self._use_case = use_case
        self._cache = _cache()

    def close(self) -> None:
        """Disconnect."""
        self._cache.close()

    def read(self, epoch: str, entity_id: str) -> CachedPrediction | None:
        """The epoch's prediction for an entity, or None when there is none."""
        row = self._cache.execute(
            "SELECT prediction, as_of, computed_at, event_times, missing FROM cached "
            "WHERE use_case = ? AND epoch = ? AND entity_id = ?",
            (self._use_case, epoch, entity_id),
        ).fetchone()
        if row is None:
            return None
        prediction, as_of, computed_at, event_times, missing = row
        return CachedPrediction(
            prediction_id=f"{epoch}/{as_of}/{entity_id}",
            prediction=prediction,
            as_of=as_of,
            computed_at=computed_at,
            event_times=json.loads(event_times),
            missing=json.loads(missing),
        )


def read_cached(use_case: str, epoch: str, entity_id: str) -> CachedPrediction | None:
    """One look-up, for flows and the command line; a service keeps a CachedPredictions instead."""
    with closing(CachedPredictions(use_case)) as cached:
        return cached.read(epoch, entity_id)


def _row(line: bytes) -> dict[str, Any]:
    logged = LoggedPrediction.model_validate_json(line)
    plain = logged.model_dump(mode="json", include=set(_JSON))
    whole = {name: json.dumps(plain[name]) for name in _JSON}
    return {**logged.model_dump(), **whole, "day": logged.requested_at.astimezone(UTC).date()}


def _table(use_case: str) -> str:
    return f"predictions_{use_case}"


def _cache() -> sqlite3.Connection:
    path = settings().home / "cached_predictions.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    cache.execute("PRAGMA journal_mode=WAL")
    cache.execute(
        "CREATE TABLE IF NOT EXISTS cached (use_case TEXT, epoch TEXT, entity_id TEXT, prediction REAL, as_of TEXT, "
        "computed_at TEXT, event_times TEXT, missing TEXT, PRIMARY KEY (use_case, epoch, entity_id)) WITHOUT ROWID"
    )
    return cache
