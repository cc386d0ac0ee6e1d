"""Profiles of served predictions by hour, release and segment, and their sum over any window of whole hours.

An hour is profiled again when the prediction log has more or fewer of its rows than its profile counts, or when its
file is damaged: what was collected late, erased or broken is right at the next look, and nothing else is done twice.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import polars as pl

from esteira.model_card import Column
from esteira.monitoring.profile import build_profile, is_intact, merge
from esteira.stores.monitoring import profiles
from esteira.stores.monitoring.profiles import StoredWindow

HOUR = timedelta(hours=1)
SEGMENT = "segment"
_OTHER = "(other)"
_LONGEST = 60
"""Bytes of a segment's name: it becomes part of a file's."""
_log = logging.getLogger("esteira.monitoring")


def last_whole(moment: datetime) -> datetime:
    """The end of the last hour that is over at ``moment``.

    >>> last_whole(datetime(2013, 3, 1, 6, 30)).isoformat()
    '2013-03-01T06:00:00'
    """
    return moment.replace(minute=0, second=0, microsecond=0)


def profile_hours(
    use_case: str, served: pl.DataFrame, columns: Sequence[Column], *, after: datetime, until: datetime
) -> int:
    """Bring the profiles of the hours in ``after`` to ``until`` up to date with ``served``; return how many changed.

    Args:
        served: every prediction of some releases with ``after < as_of <= until``: as_of, release, ``segment`` (text,
            null when unknown) and ``columns``.
        after: the end of a whole hour, as is ``until``.
    """
    releases = served["release"].unique().to_list()
    kept = {each for each in _kept(use_case, releases, after, until) if _is_whole(use_case, each)}
    named = pl.col(SEGMENT).fill_null("")
    hourly = served.with_columns(
        pl.when(named.str.len_bytes() <= _LONGEST).then(named).otherwise(pl.lit(_OTHER)).alias(SEGMENT),
        _start=(pl.col("as_of") - timedelta(microseconds=1)).dt.truncate("1h"),
    )
    asked = {
        StoredWindow(start, start + HOUR, release, segment, rows.height): rows
        for (start, release, segment), rows in hourly.partition_by("_start", "release", SEGMENT, as_dict=True).items()
    }
    for window in sorted(asked.keys() - kept):
        profiles.save(use_case, window, build_profile(asked[window], columns))
    # What is left counts rows that the log does not have: fewer were there once, or somebody was forgotten.
    for window in kept - asked.keys():
        profiles.remove(use_case, window)
    return len({(each.start, each.release, each.segment) for each in asked.keys() ^ kept})


def profile_of(
    use_case: str, releases: Collection[int], after: datetime, until: datetime, *, segment: str | None = None
) -> bytes | None:
    """The profile of what these releases served from ``after`` to ``until``; of one segment or of all; None of nothing.

    Raises DataError when a profile is damaged.
    """
    wanted = [
        profiles.load(use_case, each)
        for each in _kept(use_case, releases, after, until)
        if segment is None or each.segment == segment
    ]
    return merge(wanted) if wanted else None


def _is_whole(use_case: str, window: StoredWindow) -> bool:
    whole = is_intact(profiles.load(use_case, window))
    if not whole:
        _log.warning("The profile %s of %s is damaged; it is built again from the log.", window.name, use_case)
        profiles.remove(use_case, window)
    return whole


def _kept(use_case: str, releases: Collection[int], after: datetime, until: datetime) -> list[StoredWindow]:
    return [
        each
        for release in sorted(set(releases))
        for each in profiles.list_windows(use_case, release)
        if after <= each.start and each.end <= until
    ]
