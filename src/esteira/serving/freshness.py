"""Whether what was read is fresh enough for an answer, by the use case's policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from esteira.contract import Freshness, Otherwise

Times = Mapping[str, Sequence[datetime | None]]


@dataclass(frozen=True)
class Shortfall:
    """What one entity's features lack."""

    stale: tuple[str, ...]
    """Every view that is absent or older than wanted."""
    otherwise: Otherwise
    """What to do: the first declared consequence that is not ``answer``."""
    why: str


def shortfalls(wanted: Sequence[Freshness], event_times: Times, as_of: datetime, count: int) -> list[Shortfall | None]:
    """For each of ``count`` entities what its features lack at ``as_of``; None where nothing does."""
    if not wanted:
        return [None] * count
    return [_shortfall(wanted, {view: times[place] for view, times in event_times.items()}, as_of)
            for place in range(count)]  # fmt: skip


def _shortfall(wanted: Sequence[Freshness], times: Mapping[str, datetime | None], as_of: datetime) -> Shortfall | None:
    found = [(each, why) for each in wanted if (why := _lack(each, times.get(each.view), as_of))]
    if not found:
        return None
    deciding, why = next((each for each in found if each[0].otherwise != "answer"), found[0])
    return Shortfall(tuple(each.view for each, _ in found), deciding.otherwise, why)


def _lack(wanted: Freshness, event: datetime | None, as_of: datetime) -> str | None:
    if event is None:
        return f"{wanted.view} has no value"
    if wanted.oldest is not None and as_of - event > wanted.oldest:
        return f"{wanted.view} is {as_of - event} old, and at most {wanted.oldest} is wanted"
    return None
