"""Predictions made ahead: batches of one release, of which readers see one whole, and what is known of each entity.

A batch belongs to an epoch (a release's cached predictions) and is made as of one moment. It is filled in pieces, each
its own commit, and shown by a pointer that moves in one small transaction: a reader finds the old batch or the new,
never a mixture, and a batch that was cut short goes on where it stopped. Every piece is also kept in the Delta table
``cached_predictions_<use case>``, by day.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from esteira.contract import MOMENT, utc
from esteira.errors import WrongColumns
from esteira.features.sqlite_pages import wipe_deleted
from esteira.settings import settings
from esteira.stewardship.traces import Traces
from esteira.stores.data import tables

CACHED: dict[str, pl.DataType] = {
    "entity_id": pl.String(),
    # The model's own output: post-processing belongs to the answer, and does the same to a computed one.
    "output": pl.Float64(),
    "as_of": MOMENT,
    # JSON: keys and request inputs it was made for; per view its age in seconds; features without a value.
    "given": pl.String(),
    "feature_ages": pl.String(),
    "missing": pl.String(),
}
KEPT = timedelta(days=7)
"""So much older than the newest batch, batches and what is known of entities are removed; the Delta table keeps all."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW = timedelta(microseconds=1)
_MOST_BOUND = 30_000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS shown (use_case TEXT, epoch TEXT, batch TEXT NOT NULL, as_of TEXT NOT NULL, "
    "PRIMARY KEY (use_case, epoch)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS made (batch TEXT, entity_id TEXT, output REAL NOT NULL, as_of TEXT NOT NULL, "
    "given TEXT NOT NULL, feature_ages TEXT NOT NULL, missing TEXT NOT NULL, PRIMARY KEY (batch, entity_id)) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS known (use_case TEXT, entity_id TEXT, given TEXT NOT NULL, as_of TEXT NOT NULL, "
    "PRIMARY KEY (use_case, entity_id)) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class CachedPrediction:
    """A prediction made ahead for one entity."""

    output: float
    as_of: datetime
    given: Mapping[str, Any]
    feature_ages: Mapping[str, float | None]
    missing: Sequence[str]


class Batch:
    """One batch on its way in; the same one again continues it."""

    def __init__(self, use_case: str, epoch: str, as_of: datetime) -> None:
        """Begin, or continue, the batch of an epoch as of a moment."""
        self._use_case, self._epoch, self._as_of = use_case, epoch, as_of
        self._name = f"{use_case}/{epoch}/{as_of.isoformat()}"

    @property
    def is_shown(self) -> bool:
        """Whether readers see this batch, or a newer one of the epoch: there is nothing left to do."""
        with _connection() as cache:
            row = cache.execute(
                "SELECT as_of FROM shown WHERE use_case = ? AND epoch = ?", (self._use_case, self._epoch)
            ).fetchone()
        return row is not None and bool(row[0] >= _text(self._as_of))

    def written(self) -> int:
        """How many rows are in already."""
        with _connection() as cache:
            return int(cache.execute("SELECT count(*) FROM made WHERE batch = ?", (self._name,)).fetchone()[0])

    def mean(self) -> float | None:
        """The mean output of the rows that are in; None when there are none."""
        with _connection() as cache:
            row = cache.execute("SELECT avg(output) FROM made WHERE batch = ?", (self._name,)).fetchone()
        return None if row[0] is None else float(row[0])

    def write(self, rows: pl.DataFrame, *, after: int) -> None:
        """Add the rows (columns of ``CACHED``) that follow the first ``after`` of the batch. Twice changes nothing.

        Raises WrongColumns when columns or types differ, an entity is doubled, or a row is of another moment.
        """
        if dict(rows.schema) != CACHED:
            raise WrongColumns(f"Cached predictions have the columns {dict(rows.schema)}. Expected {CACHED}.")
        if rows["entity_id"].n_unique() < rows.height or not (rows["as_of"] == self._as_of).all():
            raise WrongColumns(
                f"A batch of cached predictions holds each entity once, all as of {self._as_of.isoformat()}. "
                "Nothing was written."
            )
        if not rows.height:
            return
        history = rows.with_columns(pl.lit(self._epoch).alias("epoch"), pl.col("as_of").dt.date().alias("day"))
        # The table's record of how far a writer has come is a moment; here it counts rows as microseconds.
        until = _EPOCH + (after + rows.height) * _ROW
        tables.append(history_table(self._use_case), history, until=until, writer=self._name, partition_by="day")
        moment = _text(self._as_of)
        with _writing() as cache:
            cache.executemany(
                "INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (self._name, entity, output, moment, given, ages, missing)
                    for entity, output, _, given, ages, missing in rows.iter_rows()
                ),
            )

    def show(self) -> int:
        """Let readers see this batch in place of the epoch's earlier one; return its rows.

        What is known of its entities is renewed in the same transaction, and what is old is removed. A batch that is
        older than the one shown is not.
        """
        moment = _text(self._as_of)
        with _writing() as cache:
            newest = cache.execute(
                "INSERT INTO shown VALUES (?, ?, ?, ?) ON CONFLICT (use_case, epoch) DO UPDATE SET "
                "batch = excluded.batch, as_of = excluded.as_of WHERE excluded.as_of >= as_of RETURNING batch",
                (self._use_case, self._epoch, self._name, moment),
            ).fetchall()
            if newest:
                cache.execute(
                    "INSERT INTO known SELECT ?, entity_id, given, as_of FROM made WHERE batch = ? "
                    "ON CONFLICT (use_case, entity_id) DO UPDATE SET given = excluded.given, as_of = excluded.as_of "
                    "WHERE excluded.as_of >= as_of",
                    (self._use_case, self._name),
                )
            self._remove_old(cache)
        return self.written()

    def _remove_old(self, cache: sqlite3.Connection) -> None:
        old, mine = _text(self._as_of - KEPT), f"{self._use_case}/"
        cache.execute("DELETE FROM shown WHERE use_case = ? AND as_of < ?", (self._use_case, old))
        cache.execute("DELETE FROM known WHERE use_case = ? AND as_of < ?", (self._use_case, old))
        cache.execute(
            # Batches of this epoch that nobody is shown, and of any epoch when they are old.
            "DELETE FROM made WHERE substr(batch, 1, ?) = ? AND batch NOT IN (SELECT batch FROM shown) "
            "AND (as_of < ? OR (substr(batch, 1, ?) = ? AND as_of < ?))",
            (len(mine), mine, old, len(own := f"{mine}{self._epoch}/"), own, _text(self._as_of)),
        )


class CachedPredictions:
    """Look-ups in the cached predictions of one use case, over one connection; for one thread."""

    def __init__(self, use_case: str) -> None:
        """Connect to the cache, which is empty until the precompute flow has run."""
        self._use_case = use_case
        self._cache = _open()

    def close(self) -> None:
        """Disconnect."""
        self._cache.close()

    def read(self, epoch: str, entity_ids: Sequence[str]) -> dict[str, CachedPrediction]:
        """The epoch's predictions for those of the entities that have one, all of one batch."""
        found: dict[str, CachedPrediction] = {}
        for start in range(0, len(entity_ids), _MOST_BOUND):
            piece = entity_ids[start : start + _MOST_BOUND]
            rows = self._cache.execute(
                "SELECT entity_id, output, made.as_of, given, feature_ages, missing FROM shown "
                f"JOIN made USING (batch) WHERE use_case = ? AND epoch = ? AND entity_id IN (?{_more(piece)})",
                (self._use_case, epoch, *piece),
            ).fetchall()
            for entity, output, as_of, given, ages, missing in rows:
                found[entity] = CachedPrediction(
                    output, datetime.fromisoformat(as_of), json.loads(given), json.loads(ages), json.loads(missing)
                )
        return found

    def known(self, entity_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Keys and request inputs of those of the entities that were predicted ahead lately, under any release."""
        rows = self._cache.execute(
            f"SELECT entity_id, given FROM known WHERE use_case = ? AND entity_id IN (?{_more(entity_ids)})",
            (self._use_case, *entity_ids),
        ).fetchall()
        return {entity: json.loads(given) for entity, given in rows}


def read_cached(use_case: str, epoch: str, entity_id: str) -> CachedPrediction | None:
    """One look-up, for flows and the command line; a service keeps a CachedPredictions instead."""
    with closing(CachedPredictions(use_case)) as cached:
        return cached.read(epoch, [entity_id]).get(entity_id)


def write_cached(use_case: str, epoch: str, rows: pl.DataFrame) -> int:
    """Make ``rows`` (columns of ``CACHED``, at least one, all of one ``as_of``) the epoch's batch, in one piece.

    Returns how many rows the batch has. Raises WrongColumns as ``Batch.write`` does.
    """
    batch = Batch(use_case, epoch, utc(rows["as_of"][0]))
    batch.write(rows, after=0)
    return batch.show()


def erase(use_case: str, traces: Traces) -> int:
    """Remove for good what is cached of an entity, in every batch; return how many rows that were."""
    erased = 0
    with _connection() as cache:
        cache.execute("BEGIN IMMEDIATE")
        for table, owner in (("made", "batch"), ("known", "use_case")):
            found = cache.execute(f"SELECT {owner}, entity_id, given FROM {table}")
            mine = [
                (of, entity)
                for of, entity, given in found
                if of.split("/")[0] == use_case and (entity in traces.ids or traces.in_json(given))
            ]
            cache.executemany(f"DELETE FROM {table} WHERE {owner} = ? AND entity_id = ?", mine)
            erased += len(mine)
        cache.execute("COMMIT")
        wipe_deleted(cache)
    return erased


def history_table(use_case: str) -> str:
    """The table that keeps every batch of a use case."""
    return f"cached_predictions_{use_case}"


def _more(values: Sequence[Any]) -> str:
    return ",?" * (len(values) - 1)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    with closing(_open()) as cache:
        yield cache


@contextmanager
def _writing() -> Iterator[sqlite3.Connection]:
    with _connection() as cache, cache:
        cache.execute("BEGIN IMMEDIATE")
        yield cache


def _open() -> sqlite3.Connection:
    path = settings().home / "cached_predictions.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    cache = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    cache.execute("PRAGMA journal_mode=WAL")
    cache.execute("PRAGMA synchronous=NORMAL")
    for statement in _SCHEMA:
        cache.execute(statement)
    return cache
