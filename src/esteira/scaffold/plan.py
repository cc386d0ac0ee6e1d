"""Decide what a new use case is, from a file and a few words about it; refuse what cannot become one."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from esteira.contract import EVENT
from esteira.errors import DataError, InputError
from esteira.scaffold.durations import in_words, rounded, short
from esteira.scaffold.labels import meaning_yes, outcomes, require_no_leak, require_number, typical_step, when_known
from esteira.scaffold.planned import Feature, Plan, Wanted
from esteira.scaffold.records import RESERVED, moments, read_records

_MOST_WORDS, _MOST_KEYS, _MOST_KNOWN = 50, 20, 200
_FEWEST_DAYS = 6


def plan(wanted: Wanted) -> Plan:
    """Read the file and decide. Raises InputError or DataError for what cannot become a use case, and says why."""
    records = read_records(wanted.source)
    key, label = records.named(wanted.entity_key, "entity key"), records.named(wanted.label, "label")
    time = records.named(wanted.timestamp, "timestamp")
    without = tuple(records.named(each, "column to leave out") for each in wanted.without)
    _require_roles(wanted, {"entity key": key, "timestamp": time, "label": label}, without)
    _require_plain_names(wanted, records.rows.columns, time, without)
    when = moments(records.rows[time], wanted.timestamp, wanted.zone)
    rows = records.rows.drop({*without, time}).with_columns(when.alias(EVENT))
    _require_keys(rows, key, wanted)
    repeats = rows[key].n_unique() < rows.height / 2
    ahead, after = when_known(wanted, rows, key, repeats=repeats)
    delay = ahead or after or timedelta()
    yes = meaning_yes(wanted, rows[label]) if wanted.kind == "binary" else None
    if yes is None:
        require_number(wanted, rows[label])
    windows = _windows(typical_step(rows, key)) if repeats else (None, None)
    features, left_out = _features(rows, key, label if after else None, windows)
    wanted = replace(wanted, ahead=ahead, label_after=after)
    outcome = outcomes(rows, key, label, wanted, yes)
    of_the_row = {key, EVENT, *([label] if after else [])}
    require_no_leak(wanted, rows, outcome, [each for each in rows.columns if each not in of_the_row], records)
    first, last = _span(rows)
    holdout = _holdout(first, last, wanted, delay)
    latest = max(windows[1] or timedelta(days=1), 2 * min(timedelta(days=1), delay / 2), timedelta(days=1))
    distinct = rows[key].n_unique()
    return Plan(
        wanted=wanted,
        records=records,
        key=key,
        timestamp=time,
        label=label,
        types={name: str(kind) for name, kind in rows.schema.items() if name != EVENT},
        without=without,
        features=features,
        left_out=left_out,
        latest=rounded(latest),
        short=windows[0],
        long=windows[1],
        delay=delay,
        holdout=holdout,
        yes=yes,
        known_keys=rows[key].dtype == pl.String and distinct <= _MOST_KNOWN,
        slices=(key,) if distinct <= _MOST_KEYS else (),
        bounds=(0.001, 0.999) if yes else _bounds(rows[label]),
        margin=0.01 if yes else _two_digits(0.02 * _spread(outcome)),
        rows_a_holdout=int(rows.height * (holdout / (last - first))),
        first=first,
        moments=when,
        example_key=rows[key][0],
    )


def _require_roles(wanted: Wanted, roles: Mapping[str, str], without: Collection[str]) -> None:
    if len(set(roles.values())) < len(roles):
        raise InputError(f"Three columns are needed, each its own: {dict(roles)}. Name others.")
    if taken := sorted(set(roles.values()) & set(without)):
        raise InputError(f"{taken} cannot be left out of {wanted.source.name}: the use case is about them.")


def _require_plain_names(wanted: Wanted, columns: Collection[str], time: str, without: Collection[str]) -> None:
    reserved = sorted(set(columns) & RESERVED - {time} - set(without))
    if reserved:
        raise InputError(
            f"The belt itself uses the column names {reserved}. Rename them in {wanted.source.name}, or leave them "
            f"out: --without {reserved[0]}"
        )


def _require_keys(rows: pl.DataFrame, key: str, wanted: Wanted) -> None:
    if not (rows[key].dtype == pl.String or rows[key].dtype.is_integer()):
        raise InputError(
            f"The entity key {wanted.entity_key!r} is of type {rows[key].dtype}. Expected words or whole numbers."
        )
    if rows[key].null_count():
        raise DataError(
            f"{rows[key].null_count()} rows have no {wanted.entity_key!r}. Every row must say whose it is: mend "
            "the file."
        )
    twice = rows.with_columns(pl.col(EVENT).dt.truncate("1s")).filter(pl.struct(key, EVENT).is_duplicated())
    if twice.height:
        some = twice.sort(key, EVENT).row(0, named=True)
        raise DataError(
            f"{twice.height} rows share their {wanted.entity_key!r} and {wanted.timestamp!r} with another, such as "
            f"{some[key]!r} at {some[EVENT].isoformat()}. A row is named by both, to the second: name a key that tells "
            "them apart, or remove what is there twice."
        )


def _windows(step: timedelta) -> tuple[timedelta, timedelta]:
    few, many = (7, 28) if step >= timedelta(days=1) else (6, 24)
    return rounded(few * step), rounded(many * step)


def _features(
    rows: pl.DataFrame, key: str, label: str | None, windows: tuple[timedelta | None, timedelta | None]
) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """The newest value of each column, and of numbers also means over two windows where keys return."""
    found: list[Feature] = []
    left_out: dict[str, str] = {}
    means = [(name, each) for name, each in zip(("SHORT", "LONG"), windows, strict=True) if each is not None]
    for column in rows.drop(EVENT):
        name, distinct = column.name, column.n_unique()
        if name == label:
            continue
        text = column.dtype == pl.String
        if text and distinct > _MOST_WORDS:
            left_out[name] = f"text with {distinct} different values"
        elif distinct < 2:
            left_out[name] = "always the same"
        elif name == key and not text:
            left_out[name] = "a number that only names the entity"
        elif not (text or column.dtype.is_numeric() or column.dtype == pl.Boolean):
            left_out[name] = f"of type {column.dtype}"
        else:
            kind: Literal["number", "count", "word"] = (
                "word" if text else "number" if column.dtype.is_float() else "count"
            )
            said = f"{name.replace('_', ' ').capitalize()} in the newest row."
            found.append(
                Feature(
                    name=f"{name}_last", column=name, aggregate="last", window="LATEST", type=kind, description=said
                )
            )
            if column.dtype.is_numeric():
                found += [
                    Feature(
                        name=f"{name}_mean_{short(width)}", column=name, aggregate="mean", window=window, type="number",
                        description=f"Mean {name.replace('_', ' ')} over {in_words(width)}.",
                    )
                    for window, width in means
                ]  # fmt: skip
    if not found:
        raise DataError(f"No column is left to predict from: {left_out}. Leave fewer out, or add columns to the file.")
    return tuple(found), left_out


def _span(rows: pl.DataFrame) -> tuple[datetime, datetime]:
    return rows[EVENT].min(), rows[EVENT].max()  # type: ignore[return-value]  # a Datetime series has datetimes


def _holdout(first: datetime, last: datetime, wanted: Wanted, delay: timedelta) -> timedelta:
    """An eighth of the time, in whole days, at least six (the gate wants five) and at most four weeks."""
    late = 2 * delay if wanted.ahead else delay
    days = math.floor((last - first - 2 * late - timedelta(days=1)) / timedelta(days=1) / 4)
    if days < _FEWEST_DAYS:
        least = rounded(timedelta(days=4 * _FEWEST_DAYS + 1) + 2 * late)
        raise DataError(
            f"The file spans {in_words(rounded(last - first))}. To learn, choose and judge on separate times, with "
            f"labels that are known up to {in_words(late)} later, it must span {in_words(least)} at least."
        )
    return timedelta(days=min(28, max(_FEWEST_DAYS, min(days, (last - first).days // 8))))


def _bounds(label: pl.Series) -> tuple[float, float]:
    low, high = float(label.min()), float(label.max())  # type: ignore[arg-type]
    room = (high - low) / 2
    return (0.0 if low >= 0 else _two_digits(low - room)), _two_digits(high + room)


def _spread(outcome: pl.Series) -> float:
    """How far outcomes lie from their median, on average: what the best constant misses by."""
    return float((outcome - outcome.median()).abs().mean())  # type: ignore[arg-type]


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}") if number else 0.0
