"""The point-in-time join: for every entity row, the newest feature row that was true and known at its moment.

Why one ASOF join is enough. A feature row can be seen from ``visible = max(event, created)`` on; rows that arrive
later only add to what can be seen. So along ``visible``, the newest row of a key seen so far, by (event, created), is a
running maximum, and an ASOF join on ``visible`` finds it. Should that row be older than the ttl, so is every other one
seen, hence the ttl is judged on the winner alone. Cost: one sort of the feature rows and one pass over both sides.

Keys know nothing of each other, so the work is cut by key, twice by the same deal: into passes over the source, so that
what is in memory stays bounded, usually one; and within a pass into parts that stay in the processor's cache, because
sorting and looking up ten million rows at once takes far more than ten times as long as one million.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from esteira.contract import MOMENT
from esteira.errors import InputError, WrongColumns

_MICROSECOND = timedelta(microseconds=1)
_BEGINNING = datetime.min.replace(tzinfo=UTC)
# Internal names, so that no column of either side can be mistaken for them.
_ROW, _KEY, _CODE, _MOMENT, _PART = "__row", "__key", "__code", "__moment", "__part"
# Rows of a part: its key, times and positions are 6 MB. Between 60,000 and 1,000,000 the time hardly changed.
_PART_ROWS = 250_000
_EVENT, _CREATED, _VISIBLE, _POSITION = "__event", "__created", "__visible", "__position"


def point_in_time_join(
    entities: pl.DataFrame,
    features: pl.LazyFrame,
    *,
    keys: Sequence[str],
    entity_timestamp: str,
    event: str,
    created: str | None,
    ttl: timedelta | None,
    columns: Mapping[str, str],
    knowledge_time: bool = True,
    shard_rows: int | None = None,
) -> pl.DataFrame:
    """Append to ``entities`` the ``columns`` of ``features`` (source name -> new name) as known at each row's moment.

    For keys ``e`` and moment ``t``: among rows of ``e`` with ``created <= t``, ``event <= t`` and ``t - event <= ttl``
    the one with the greatest event, then the greatest created, then the last read. Rows out are rows in, in order;
    where nothing is found, or a key or ``t`` is null, the values are null. Feature rows without event or created time
    are never seen. All times are aware and compared in whole microseconds.

    Args:
        entities: n rows with ``keys`` and ``entity_timestamp``.
        features: rows with ``keys``, ``event``, ``created`` and ``columns``; only these are read, and only the stretch
            of time that can matter.
        keys: names common to both sides; without any, every entity row is joined with the one history there is.
        entity_timestamp: the moment of an entity row.
        event: when a feature row was true.
        created: when a feature row became known; None where that is not recorded, then rows are seen from their event.
        ttl: how long a value stays valid; None or zero means for ever.
        columns: what to append, and under which names.
        knowledge_time: False sees rows from their event on; ``created`` then only decides between equal events.
        shard_rows: hold about this many feature rows in memory at once; when more of them matter, the source is read in
            several passes, by key. None reads it once, whatever its size.

    Raises:
        WrongColumns: a column is missing, or a time is not an aware datetime.
        InputError: a key's type differs between the sides, or a new name is taken.
    """
    schema = features.collect_schema()
    times = [event, created] if created else [event]
    require_columns(schema, [*keys, *times, *columns], times, "feature rows")
    require_columns(entities.schema, [*keys, entity_timestamp], [entity_timestamp], "entity frame")
    if taken := [name for name in columns.values() if name in entities.columns]:
        raise InputError(f"The entity frame already has the columns {taken}. Rename them before features are joined.")

    # Without keys there is one history: everybody asks for the same constant key.
    of_keys = [f"{_KEY}{i}" for i in range(max(1, len(keys)))]
    constant = [] if keys else [pl.lit(0, pl.UInt8).alias(of_keys[0])]
    asked = entities.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(_ROW),
        _utc(entity_timestamp).alias(_MOMENT),
        *(_comparable(entities[key], schema[key]).alias(name) for key, name in zip(keys, of_keys, strict=False)),
        *constant,
    )
    codes = asked.drop_nulls().select(of_keys).unique(maintain_order=True).with_row_index(_CODE)
    # Rows with a null key ask for a key without history, so that they too come back, with nulls.
    asked = asked.join(codes, on=of_keys, how="left", maintain_order="left").select(
        _ROW, _MOMENT, pl.col(_CODE).fill_null(codes.height)
    )
    needed = _that_matter(features, asked[_MOMENT], event, created if knowledge_time else None, ttl)
    readable = needed.select(
        *(pl.col(key).cast(_plain(schema[key])).alias(name) for key, name in zip(keys, of_keys, strict=False)),
        *constant,
        _utc(event).alias(_EVENT),
        *([_utc(created).alias(_CREATED)] if created else []),
        *(pl.col(old).alias(new) for old, new in columns.items()),
    )
    known = readable.join(codes.lazy(), on=of_keys, maintain_order="left").drop(of_keys)

    passes = _passes(features, known, shard_rows)
    found = []
    for number, of_pass in enumerate(_spread(asked, passes)):
        of_keys_of_pass = known.filter(pl.col(_CODE) % passes == number).with_columns(pl.col(_CODE) // passes)
        rows = (of_keys_of_pass if passes > 1 else known).collect()
        winners = _winners(of_pass, rows, knowledge_time=knowledge_time, ttl=ttl)
        found.append(winners.select(_ROW).hstack(rows.select(pl.col(columns.values()).gather(winners[_POSITION]))))
    return entities.hstack(pl.concat(found).sort(_ROW).drop(_ROW))


def _winners(asked: pl.DataFrame, rows: pl.DataFrame, *, knowledge_time: bool, ttl: timedelta | None) -> pl.DataFrame:
    """The position in ``rows`` of the row each of ``asked`` sees, by ``_ROW``; null where it sees no fresh one."""
    history = rows.select(name for name in (_CODE, _EVENT, _CREATED) if name in rows.columns).with_row_index(_POSITION)
    parts = max(1, math.ceil(rows.height / _PART_ROWS))
    each = zip(_spread(asked, parts), _spread(history, parts), strict=True)
    return pl.concat([_winners_of_part(*part, knowledge_time=knowledge_time, ttl=ttl) for part in each]).sort(_ROW)


def _winners_of_part(
    asked: pl.DataFrame, history: pl.DataFrame, *, knowledge_time: bool, ttl: timedelta | None
) -> pl.DataFrame:
    times = [_EVENT, _CREATED] if _CREATED in history.columns else [_EVENT]
    visible = times if knowledge_time else [_EVENT]
    history = history.drop_nulls([_EVENT, *visible]).with_columns(pl.max_horizontal(visible).alias(_VISIBLE))
    # Rows of equal event must come in the order of created, and those equal in both as they were read. Where every row
    # arrived at or after its event, the order of visibility already is that order, and sorting by one column is faster.
    ordered = visible == [_EVENT, _CREATED] and bool((history[_CREATED] >= history[_EVENT]).all())
    order = [_VISIBLE] if ordered else [_VISIBLE, *times[1:]]
    # Nulls come first: without knowledge time, an unknown created is the oldest.
    history = history.select(_CODE, _EVENT, _POSITION, *order).sort(order, maintain_order=True)
    is_newest = pl.col(_EVENT) == pl.col(_EVENT).cum_max()
    history = history.select(
        _CODE,
        _VISIBLE,
        pl.col(_EVENT).cum_max().over(_CODE),
        pl.when(is_newest).then(_POSITION).forward_fill().over(_CODE).alias(_POSITION),
    )
    # Both sides are sorted by time as a whole, so they are within every key; Polars cannot check that per key.
    winners = asked.sort(_MOMENT).join_asof(
        history, left_on=_MOMENT, right_on=_VISIBLE, by=_CODE, check_sortedness=False
    )
    fresh = pl.col(_MOMENT) - pl.col(_EVENT) <= ttl if ttl else True
    return winners.select(_ROW, pl.when(fresh).then(_POSITION).alias(_POSITION))


def _spread(rows: pl.DataFrame, parts: int) -> list[pl.DataFrame]:
    """``rows`` in ``parts`` frames, all rows of a key in one of them, in order; the codes of a part are 0, 1, 2 again.

    Keys are dealt out in turn, because those that are asked for most tend to have the first codes.
    """
    if parts == 1:
        return [rows]
    dealt = rows.with_columns(pl.col(_CODE) // parts, (pl.col(_CODE) % parts).alias(_PART))
    held = dealt.partition_by(_PART, as_dict=True, include_key=False, maintain_order=True)
    return [held.get((part,), rows.clear()) for part in range(parts)]


def within(rows: pl.LazyFrame, column: str, start: datetime | None, end: datetime | None) -> pl.LazyFrame:
    """``rows`` whose ``column`` lies in ``[start, end]`` in whole microseconds, open where None.

    The bounds are in the column's own unit and zone, so that the condition reaches the file reader and skips files.
    """
    dtype = rows.collect_schema()[column]
    zone = ZoneInfo((dtype.time_zone if isinstance(dtype, pl.Datetime) else None) or "UTC")
    if start is not None:
        rows = rows.filter(pl.col(column) >= pl.lit(start.astimezone(zone), dtype))
    if end is not None:
        rows = rows.filter(pl.col(column) < pl.lit((end + _MICROSECOND).astimezone(zone), dtype))
    return rows


def _that_matter(
    features: pl.LazyFrame, moments: pl.Series, event: str, created: str | None, ttl: timedelta | None
) -> pl.LazyFrame:
    """``features`` without rows that none of ``moments`` can see."""
    first, last = moments.min(), moments.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return features.clear()
    oldest = first - ttl if ttl and first - _BEGINNING > ttl else None
    seen = within(features, event, oldest, last)
    return within(seen, created, None, last) if created else seen


def _passes(features: pl.LazyFrame, known: pl.LazyFrame, shard_rows: int | None) -> int:
    """How often the source has to be read so that one pass holds about ``shard_rows`` of its rows."""
    length = pl.len()
    # Counting all rows asks a file's footer only; those that matter are counted only when all would be too many.
    if shard_rows is None or features.select(length).collect().item() <= shard_rows:
        return 1
    return max(1, math.ceil(int(known.select(length).collect().item()) / shard_rows))


def _comparable(key: pl.Series, target: pl.DataType) -> pl.Series:
    """The entity frame's ``key`` in the type of the feature rows' key; no two different values become equal."""
    plain = _plain(target)
    if key.dtype in (plain, pl.Null):
        return key.cast(plain)
    if key.dtype.is_integer() and plain.is_numeric():
        return key.cast(plain, strict=False)  # what does not fit has no row there either
    if isinstance(key.dtype, pl.Categorical | pl.Enum) and plain == pl.String:
        return key.cast(pl.String)
    if key.dtype.is_float() and plain.is_integer():
        # pandas turns integer keys with gaps into floats
        known = key.fill_nan(None)
        whole = known.cast(plain, strict=False)
        if bool((whole.cast(key.dtype) == known).fill_null(known.is_null()).all()):
            return whole
    raise InputError(
        f"The entity frame's key {key.name!r} is {key.dtype}, the feature rows' is {target}, "
        f"such as {key.drop_nulls().head(3).to_list()}. Cast it to {target} first: it is not guessed."
    )


def _plain(dtype: pl.DataType) -> pl.DataType:
    return pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else dtype


def _utc(column: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone("UTC").dt.cast_time_unit("us").cast(MOMENT)


def require_columns(schema: pl.Schema, columns: Sequence[str], times: Sequence[str], what: str) -> None:
    """Raise WrongColumns unless ``schema`` has ``columns``, and ``times`` as aware datetimes."""
    if missing := [column for column in columns if column not in schema]:
        raise WrongColumns(
            f"The {what} have no column {missing}. They have {schema.names()}; mend the names or the data."
        )
    for column in times:
        dtype = schema[column]
        if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
            raise WrongColumns(
                f"Column {column!r} of the {what} is {dtype}; a datetime with time zone is expected. Say which zone it "
                "is in (Polars: .dt.replace_time_zone, pandas: .dt.tz_localize)."
            )
