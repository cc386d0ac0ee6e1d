"""The point-in-time join: for every entity row, the newest feature row that was true and known at its moment.

A feature row can be seen from ``visible = max(event, created)`` on; later rows only add to what can be seen. So along
``visible`` the newest row of a key is a running maximum, which ``newest_visible`` searches. Should that row be older
than the ttl, so is every other one seen, hence the ttl is judged on the winner alone.

Keys know nothing of each other, so the work is cut by key, twice: into passes over the source, so that what is held in
memory stays bounded, usually one; and within a pass into parts that stay in the processor's cache, because sorting and
looking up ten million rows at once takes far more than ten times as long as one million.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from esteira.contract import MOMENT
from esteira.errors import InputError, WrongColumns
from esteira.features.newest_visible import Integers, newest_visible

_MICROSECOND = timedelta(microseconds=1)
_BEGINNING = datetime.min.replace(tzinfo=UTC)
# Internal names, so that no column of either side can be mistaken for them.
_ROW, _KEY, _CODE, _MOMENT = "__row", "__key", "__code", "__moment"
# Rows of a part: its numbers are 20 MB. A million instead saves the dealing out, 6 % of a join in order, but costs
# 300 MB more where rows are late.
_PART_ROWS = 250_000
_EVENT, _CREATED = "__event", "__created"
_NOTHING = np.iinfo(np.int64).min


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
    named = [event, created] if created else [event]
    require_columns(schema, [*keys, *named, *columns], named, "feature rows")
    require_columns(entities.schema, [*keys, entity_timestamp], [entity_timestamp], "entity frame")
    if taken := [name for name in columns.values() if name in entities.columns]:
        raise InputError(f"The entity frame already has the columns {taken}. Rename them before features are joined.")

    # Without keys there is one history: everybody asks for the same constant key.
    of_keys = [f"{_KEY}{i}" for i in range(max(1, len(keys)))]
    times = [_EVENT, _CREATED] if created else [_EVENT]
    constant = [] if keys else [pl.lit(0, pl.UInt8).alias(of_keys[0])]
    asked = entities.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(_ROW),
        _utc(entity_timestamp).alias(_MOMENT),
        *(_comparable(entities[key], schema[key]).alias(name) for key, name in zip(keys, of_keys, strict=False)),
        *constant,
    )
    codes = asked.drop_nulls().select(of_keys).unique(maintain_order=True).with_row_index(_CODE)
    # A key that nobody has: rows with a null key come back too, with nulls.
    coded = pl.col(_CODE).cast(pl.Int64).fill_null(-1)
    asked = asked.join(codes, on=of_keys, how="left", maintain_order="left").select(_ROW, _MOMENT, coded)
    needed = _that_matter(features, asked[_MOMENT], event, created if knowledge_time else None, ttl)
    readable = needed.select(
        *(pl.col(key).cast(_plain(schema[key])).alias(name) for key, name in zip(keys, of_keys, strict=False)),
        *constant,
        _utc(event).alias(_EVENT),
        *([_utc(created).alias(_CREATED)] if created else []),
        *(pl.col(old).alias(new) for old, new in columns.items()),
    )

    def answer(of_pass: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        # Only keys are matched and times sorted; values, most of the bytes, are touched only where a row wins.
        code = rows.select(of_keys).join(codes, on=of_keys, how="left", maintain_order="left")[_CODE]
        position = _positions(of_pass, code, rows.select(times), knowledge_time, ttl)
        return of_pass.select(_ROW).hstack(_fetched(rows.select(columns.values()), position))

    # Counting all rows asks a file's footer only; those that matter are counted only when all would be too many.
    if shard_rows is None or features.select(pl.len()).collect().item() <= shard_rows:
        return entities.hstack(answer(asked, readable.collect()).drop(_ROW))
    known = readable.join(codes.lazy(), on=of_keys, maintain_order="left")
    passes = max(1, math.ceil(int(known.select(pl.len()).collect().item()) / shard_rows))
    share = pl.col(_CODE) % passes
    found = [
        answer(asked.filter(share == number), known.filter(share == number).drop(_CODE).collect())
        for number in range(passes)
    ]
    return entities.hstack(pl.concat(found).sort(_ROW).drop(_ROW))


def _positions(
    asked: pl.DataFrame, code_of_row: pl.Series, times: pl.DataFrame, knowledge_time: bool, ttl: timedelta | None
) -> Integers:
    """For each of ``asked`` the position of the row it sees, -1 where it sees no fresh one.

    Rows have a code, null where nobody asks for their key, and ``times``; the times that matter are all known.
    """
    numbers = [_numbers(column) for column in (code_of_row, *times)]
    wanted = np.flatnonzero(code_of_row.is_not_null()) if code_of_row.null_count() else None
    if wanted is not None:
        numbers = [column[wanted] for column in numbers]
    code, event, created = numbers[0], numbers[1], numbers[-1]
    if not code.size:
        return np.full(asked.height, -1)
    visible = np.maximum(event, created) if knowledge_time else event
    asked_code, moment = _numbers(asked[_CODE]), _numbers(asked[_MOMENT])
    parts = math.ceil(code.size / _PART_ROWS)
    if parts == 1:
        winner = newest_visible(code, event, created, visible, asked_code, moment)
    else:
        winner = np.full(asked.height, -1)
        for part, asked_part in zip(_dealt(code, parts), _dealt(asked_code, parts), strict=True):
            place = newest_visible(
                code[part], event[part], created[part], visible[part], asked_code[asked_part], moment[asked_part]
            )
            winner[asked_part] = np.where(place < 0, -1, part[place]) if part.size else -1
    if ttl:
        winner[moment - event[winner] > ttl // _MICROSECOND] = -1
    return winner if wanted is None else np.where(winner < 0, -1, wanted[winner])


def _fetched(values: pl.DataFrame, position: Integers) -> pl.DataFrame:
    """The rows of ``values`` at ``position``, null where it is -1."""
    # In the order they are stored in: walking forward through memory takes half as long, the second step included.
    stored, of_row = np.unique(position, return_inverse=True)
    absent = int(stored[:1].sum() < 0)
    fetched = values.select(pl.all().gather(stored[absent:]))
    place = pl.Series(of_row - absent)
    return fetched.select(pl.all().gather(place.set(place < 0, None)))


def _numbers(values: pl.Series) -> Integers:
    """Codes, positions or microseconds as integers; an unknown moment is before all time."""
    return values.to_physical().cast(pl.Int64).fill_null(_NOTHING).to_numpy()


def _dealt(code: Integers, parts: int) -> list[Integers]:
    """Positions in ``parts`` shares, in order, all of one key in one of them.

    Keys are dealt out in turn, because those that are asked for most tend to have the first codes.
    """
    share = code % parts
    positions = np.argsort(share.astype(np.uint16) if parts < 2**16 else share, kind="stable")
    return np.split(positions, np.searchsorted(share[positions], np.arange(1, parts)))


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
