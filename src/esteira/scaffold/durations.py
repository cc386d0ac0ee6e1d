"""Lengths of time as people write them, and as Python code says them."""

import re
from datetime import timedelta

from esteira.errors import InputError

_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def duration(text: str) -> timedelta:
    """A length of time from text.

    >>> duration("3h"), duration("30d")
    (datetime.timedelta(seconds=10800), datetime.timedelta(days=30))

    Raises InputError for anything else, and for none at all.
    """
    found = re.fullmatch(r"\s*(\d+)\s*(min|h|d|w)\s*", text)
    if not found or not int(found[1]):
        raise InputError(f"Cannot read {text!r} as a length of time. Expected a number and min, h, d or w, such as 3h.")
    return int(found[1]) * _UNITS[found[2]]


def as_code(length: timedelta) -> str:
    """The expression for it.

    >>> as_code(timedelta(days=2)), as_code(timedelta(minutes=90))
    ('timedelta(days=2)', 'timedelta(minutes=90)')
    """
    return f"timedelta({_words(length)[0]}={_words(length)[1]})"


def in_words(length: timedelta) -> str:
    """It for people.

    >>> in_words(timedelta(hours=3)), in_words(timedelta(days=1))
    ('3 hours', '1 day')
    """
    unit, count = _words(length)
    return f"{count} {unit}" if count != 1 else f"1 {unit[:-1]}"


def short(length: timedelta) -> str:
    """It as a part of a feature's name.

    >>> short(timedelta(hours=24)), short(timedelta(days=28)), short(timedelta(minutes=30))
    ('24h', '28d', '30min')
    """
    seconds = int(length.total_seconds())
    if seconds % 3600:
        return f"{max(1, seconds // 60)}min"
    return f"{seconds // 3600}h" if seconds <= 48 * 3600 else f"{seconds // 86400}d"


def rounded(length: timedelta) -> timedelta:
    """The next length of whole days, hours or minutes, whichever is near."""
    unit = next((unit for unit in (timedelta(days=1), timedelta(hours=1)) if length >= 2 * unit), timedelta(minutes=1))
    return max(unit, -(-length // unit) * unit)


def _words(length: timedelta) -> tuple[str, int]:
    seconds = int(length.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0:
            return unit, seconds // size
    return "seconds", seconds
