"""Draw answers for one request with one release: from what was made ahead, or computed from features read now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from esteira.contract import FeatureRows, ServingPolicy
from esteira.errors import FeatureError
from esteira.serving import answering
from esteira.serving.answering import Drawn
from esteira.serving.following import Serving
from esteira.serving.freshness import Shortfall, shortfalls
from esteira.settings import settings
from esteira.stores.answers.cached import CachedPredictions

Rows = Mapping[str, Sequence[Any]]
NOTHING_FOUND = FeatureRows(values={}, event_times={}, created_times={})
_ANSWERED_AT_ONCE = 16  # more entities than this leave the event loop, so that small requests do not wait for them


@dataclass(frozen=True, slots=True)
class Hand:
    """What one release has drawn for n entities, before post-processing."""

    serving: Serving
    drawn: Sequence[Drawn]
    given: Rows
    """Their entity keys and request inputs."""
    found: FeatureRows
    """The features that were read for the places ``read``, in that order, or nothing."""
    read: Sequence[int]


class Drawing:
    """Draws for one use case, as its policy says."""

    def __init__(self, policy: ServingPolicy, cached: CachedPredictions) -> None:
        """Draw by ``policy``, from ``cached`` where that may be."""
        self._policy = policy
        self._cached = cached

    async def draw(
        self,
        serving: Serving,
        entity_ids: Sequence[str],
        given: Rows,
        *,
        as_of: datetime,
        now: datetime,
        explain: bool,
        ahead: bool,
    ) -> Hand:
        """Draw for n entities; with ``ahead`` what was made ahead is taken where it may be, all else is computed.

        Raises ModelError; FeatureError when the policy refuses what is missing, stale or out of reach.
        """
        drawn: dict[int, Drawn] = self._made_ahead(serving, entity_ids, given, now) if ahead else {}
        left = [place for place in range(len(entity_ids)) if place not in drawn]
        found = NOTHING_FOUND
        if left:
            asked = given if len(left) == len(entity_ids) else rows_at(given, left)
            ids = [entity_ids[place] for place in left]
            # A store behind a network may be slow: then requests wait in threads, not in each other's way.
            if len(left) > _ANSWERED_AT_ONCE or settings().online_store != "sqlite":
                computed, found = await asyncio.to_thread(self._compute, serving, ids, asked, as_of, now, explain)
            else:
                computed, found = self._compute(serving, ids, asked, as_of, now, explain)
            drawn.update(zip(left, computed, strict=True))
        return Hand(serving, [drawn[place] for place in range(len(entity_ids))], given, found, left)

    def _made_ahead(self, serving: Serving, entity_ids: Sequence[str], given: Rows, now: datetime) -> dict[int, Drawn]:
        """Place -> what may be answered from the cache: made for the same keys and inputs, fresh, due late enough."""
        later = [p for p in range(len(entity_ids)) if answering.is_due_later(self._policy, given, p, now)]
        if not later:
            return {}
        ahead = self._cached.read(serving.release.epoch, [entity_ids[place] for place in later])
        return {
            place: answering.drawn_ahead(entity_ids[place], made)
            for place in later
            if (made := ahead.get(entity_ids[place])) is not None
            and not answering.too_old(made, self._policy, now)
            and all(given[name][place] == value for name, value in made.given.items())
        }

    def _compute(
        self, serving: Serving, entity_ids: Sequence[str], given: Rows, as_of: datetime, now: datetime, explain: bool
    ) -> tuple[list[Drawn], FeatureRows]:
        """Compute n entities, and let the policy decide where features are stale, missing or out of reach."""
        count = len(entity_ids)
        try:
            found = serving.features.read(given, as_of)
        except FeatureError as error:
            lost = Shortfall((), self._policy.unreachable, f"the features cannot be read ({error})")
            if lost.otherwise == "answer":
                raise
            return self._fall_back(serving, entity_ids, [lost] * count, None, as_of, now), NOTHING_FOUND
        drawn = answering.compute(serving, entity_ids, found, as_of=as_of, explain=explain)
        lacking = shortfalls(self._policy.freshness, found.event_times, as_of, count)
        if any(lacking):
            drawn = self._fall_back(serving, entity_ids, lacking, drawn, as_of, now)
        return drawn, found

    def _fall_back(
        self,
        serving: Serving,
        entity_ids: Sequence[str],
        lacking: Sequence[Shortfall | None],
        computed: Sequence[Drawn] | None,
        as_of: datetime,
        now: datetime,
    ) -> list[Drawn]:
        wanted = [e for e, lack in zip(entity_ids, lacking, strict=True) if lack and lack.otherwise == "cached"]
        ahead = self._cached.read(serving.release.epoch, wanted) if wanted else {}
        fresh = {each: made for each, made in ahead.items() if not answering.too_old(made, self._policy, now)}
        return [
            answering.fall_back(
                serving, entity_id, lack, computed[place] if computed else None, fresh.get(entity_id), as_of=as_of
            )
            for place, (entity_id, lack) in enumerate(zip(entity_ids, lacking, strict=True))
        ]


def rows_at(rows: Rows, places: Sequence[int]) -> Rows:
    """The rows at ``places``, in that order."""
    return {name: [values[place] for place in places] for name, values in rows.items()}
