"""Predictions made ahead: batches of one release, of which readers see one whole, and what is known of each entity.

A batch belongs to an epoch (a release's cached predictions) and is made as of one moment. It is filled in pieces, each
its own commit, and shown by a pointer that moves in one small transaction: a reader finds the old batch or the new,
never a mixture, and a batch that was cut short goes on where it stopped. Every piece is also kept in the Delta table
``cached_predictions_<use case>``, by day.
"""

import json
import sqlite3
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

import polars as pl

from esteira.contract import utc
from esteira.errors import WrongColumns
from esteira.features.sqlite_pages import wipe_deleted
from esteira.serving.ahead import AGES, MADE_AHEAD
from esteira.stewardship.traces import Traces
from esteira.stores.answers import cache_file
from esteira.stores.data import tables

KEPT = timedelta(days=7)
"""So much older than the newest batch, batches and what is known of entities are removed; the Delta table keeps all."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROW = timedelta(microseconds=1)
_MOST_BOUND = 30_000
_MINE = "(SELECT batch FROM batches WHERE use_case = ? AND epoch = ? AND as_of = ?)"


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
        self._key = (use_case, epoch, _text(as_of))

    @property
    def is_shown(self) -> bool:
        """Whether readers see this batch, or a newer one of the epoch: there is nothing left to do."""
        with cache_file.connection() as cache:
            row = cache.execute(
                "SELECT as_of FROM shown WHERE use_case = ? AND epoch = ?", (self._use_case, self._epoch)
            ).fetchone()
        return row is not None and bool(row[0] >= _text(self._as_of))

    def written(self) -> int:
        """How many rows are in already."""
        with cache_file.connection() as cache:
            return int(cache.execute(f"SELECT count(*) FROM made WHERE batch = {_MINE}", self._key).fetchone()[0])

    def mean(self) -> float | None:
        """The mean output of the rows that are in; None when there are none."""
        with cache_file.connection() as cache:
            row = cache.execute(f"SELECT avg(output) FROM made WHERE batch = {_MINE}", self._key).fetchone()
        return None if row[0] is None else float(row[0])

    def write(self, rows: pl.DataFrame, *, after: int) -> None:
        """Add the rows (as ``predict_ahead`` makes them) that follow the first ``after``. Twice changes nothing.

        Raises WrongColumns when columns or types differ, an entity is doubled, or a row is of another moment.
        """
        self._require_fitting(rows)
        if not rows.height:
            return
        ages = rows[AGES].struct.unnest()
        number = self._begun(ages.columns)
        named = pl.format('["{}"]', pl.col("missing").list.join('", "'))  # names of features need no escape
        history = rows.with_columns(
            pl.col(AGES).struct.json_encode(),
            pl.when(pl.col("missing").list.len() > 0).then(named).otherwise(pl.lit("[]")).alias("missing"),
            pl.lit(self._epoch).alias("epoch"),
            pl.col("as_of").dt.date().alias("day"),
        )
        # The table's record of how far a writer has come is a moment; here it counts rows as microseconds.
        until = _EPOCH + (after + rows.height) * _ROW
        writer = f"{self._use_case}/{self._epoch}/{self._as_of.isoformat()}"
        tables.append(history_table(self._use_case), history, until=until, writer=writer, partition_by="day")
        with cache_file.writing() as cache:
            cache.executemany(
                "INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?, ?, ?)",
                zip(
                    repeat(number),
                    rows["entity_id"].to_list(),
                    rows["output"].to_list(),
                    rows["given"].to_list(),
                    _packed(ages),
                    history["missing"].to_list(),
                ),
            )

    def _require_fitting(self, rows: pl.DataFrame) -> None:
        plain, ages = dict(rows.schema), rows.schema.get(AGES)
        plain.pop(AGES, None)
        if (
            plain != MADE_AHEAD
            or not isinstance(ages, pl.Struct)
            or {each.dtype for each in ages.fields} - {pl.Float64}
        ):
            raise WrongColumns(
                f"Cached predictions have the columns {dict(rows.schema)}. Expected {dict(MADE_AHEAD)} and {AGES}, a "
                "struct of 64-bit floats."
            )
        if rows["entity_id"].n_unique() < rows.height or not (rows["as_of"] == self._as_of).all():
            raise WrongColumns(
                f"A batch of cached predictions holds each entity once, all as of {self._as_of.isoformat()}. "
                "Nothing was written."
            )

    def _begun(self, views: Sequence[str]) -> int:
        """The number under which this batch's rows are kept."""
        with cache_file.writing() as cache:
            cache.execute(
                "INSERT OR IGNORE INTO batches (use_case, epoch, as_of, views) VALUES (?, ?, ?, ?)",
                (*self._key, json.dumps(views)),
            )
            number, kept = cache.execute(
                f"SELECT batch, views FROM batches WHERE batch = {_MINE}", self._key
            ).fetchone()
        if views and json.loads(kept) != list(views):
            raise WrongColumns(
                f"The batch of {self._epoch!r} as of {self._as_of.isoformat()} was begun with the feature views "
                f"{kept}, but goes on with {views}. One batch is made with one feature service: make another as of now."
            )
        return int(number)

    def show(self) -> int:
        """Let readers see this batch in place of the epoch's earlier one; return its rows.

        What is known of its entities is renewed in the same transaction, and what is old is removed. A batch that is
        older than the one shown is not.
        """
        moment, number = _text(self._as_of), self._begun([])
        with cache_file.writing() as cache:
            newest = cache.execute(
                "INSERT INTO shown VALUES (?, ?, ?, ?) ON CONFLICT (use_case, epoch) DO UPDATE SET "
                "batch = excluded.batch, as_of = excluded.as_of WHERE excluded.as_of >= as_of RETURNING batch",
                (self._use_case, self._epoch, number, moment),
            ).fetchall()
            if newest:
                cache.execute(
                    "INSERT INTO known SELECT ?, entity_id, given, ? FROM made WHERE batch = ? "
                    "ON CONFLICT (use_case, entity_id) DO UPDATE SET given = excluded.given, as_of = excluded.as_of "
                    "WHERE excluded.as_of >= as_of",
                    (self._use_case, moment, number),
                )
            self._remove_old(cache)
        return self.written()

    def _remove_old(self, cache: sqlite3.Connection) -> None:
        old = _text(self._as_of - KEPT)
        cache.execute("DELETE FROM shown WHERE use_case = ? AND as_of < ?", (self._use_case, old))
        cache.execute("DELETE FROM known WHERE use_case = ? AND as_of < ?", (self._use_case, old))
        # Batches of this epoch that nobody is shown, and of any epoch when they are old.
        doomed = cache.execute(
            "SELECT batch FROM batches WHERE use_case = ? AND batch NOT IN (SELECT batch FROM shown) "
            "AND (as_of < ? OR (epoch = ? AND as_of < ?))",
            (self._use_case, old, self._epoch, _text(self._as_of)),
        ).fetchall()
        cache.executemany("DELETE FROM made WHERE batch = ?", doomed)
        cache.executemany("DELETE FROM batches WHERE batch = ?", doomed)


class CachedPredictions:
    """Look-ups in the cached predictions of one use case, over one connection; for one thread."""

    def __init__(self, use_case: str) -> None:
        """Connect to the cache, which is empty until the precompute flow has run."""
        self._use_case = use_case
        self._cache = cache_file.open_cache()

    def close(self) -> None:
        """Disconnect."""
        self._cache.close()

    def read(self, epoch: str, entity_ids: Sequence[str]) -> dict[str, CachedPrediction]:
        """The epoch's predictions for those of the entities that have one, all of one batch."""
        found: dict[str, CachedPrediction] = {}
        for start in range(0, len(entity_ids), _MOST_BOUND):
            piece = entity_ids[start : start + _MOST_BOUND]
            rows = self._cache.execute(
                "SELECT entity_id, output, shown.as_of, given, feature_ages, missing, views FROM shown "
                "JOIN batches USING (batch) JOIN made USING (batch) "
                f"WHERE shown.use_case = ? AND shown.epoch = ? AND entity_id IN (?{_more(piece)})",
                (self._use_case, epoch, *piece),
            ).fetchall()
            if rows:
                as_of, views = datetime.fromisoformat(rows[0][2]), json.loads(rows[0][6])  # all are of one batch
            for entity, output, _, given, ages, missing, _ in rows:
                found[entity] = CachedPrediction(
                    output, as_of, json.loads(given), _unpacked(views, ages), json.loads(missing)
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
    """Make ``rows`` (at least one, all of one ``as_of``) the epoch's batch, in one piece.

    Returns how many rows the batch has. Raises WrongColumns as ``Batch.write`` does.
    """
    batch = Batch(use_case, epoch, utc(rows["as_of"][0]))
    batch.write(rows, after=0)
    return batch.show()


def erase(use_case: str, traces: Traces) -> int:
    """Remove for good what is cached of an entity, in every batch; return how many rows that were."""
    erased = 0
    with cache_file.connection() as cache:
        cache.execute("BEGIN IMMEDIATE")
        for table, owner, those in (
            ("made", "batch", "batch IN (SELECT batch FROM batches WHERE use_case = ?)"),
            ("known", "use_case", "use_case = ?"),
        ):
            found = cache.execute(f"SELECT {owner}, entity_id, given FROM {table} WHERE {those}", (use_case,))
            mine = [(of, entity) for of, entity, given in found if entity in traces.ids or traces.in_json(given)]
            cache.executemany(f"DELETE FROM {table} WHERE {owner} = ? AND entity_id = ?", mine)
            erased += len(mine)
        cache.execute("COMMIT")
        wipe_deleted(cache)
    return erased


def history_table(use_case: str) -> str:
    """The table that keeps every batch of a use case."""
    return f"cached_predictions_{use_case}"


def _packed(ages: pl.DataFrame) -> Sequence[bytes]:
    """Each row's ages as 64-bit floats, NaN for none."""
    width = 8 * ages.width
    if not width:
        return [b""] * ages.height
    whole = ages.fill_null(float("nan")).to_numpy().astype("<f8").tobytes()
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def _unpacked(views: Sequence[str], ages: bytes) -> dict[str, float | None]:
    values = struct.unpack(f"<{len(views)}d", ages)
    return {view: None if age != age else age for view, age in zip(views, values, strict=True)}  # noqa: PLR0124 - NaN


def _more(values: Sequence[Any]) -> str:
    return ",?" * (len(values) - 1)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
