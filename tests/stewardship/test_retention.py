from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import InputError
from esteira.stewardship.retention import (
    Item,
    Staying,
    decide,
    of_model,
    of_training,
    table_retention,
)

NAME = "flight_delay"
DECLARED = use_cases.get(NAME)
KEPT_FOR = {"model": timedelta(days=30), "training-set": timedelta(days=20)}


class Belt(RuleBasedStateMachine):
    """A belt as dictionaries: models trained, judged, released, rolled back, held; and retention every now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = utc("2013-01-01")
        self.trained: dict[str, datetime] = {}
        self.unjudged: set[str] = set()
        self.stored: set[str] = set()
        self.releases: list[str] = []
        """Models in the order they went live; what a rollback undid is not in it any more."""
        self.held: set[str] = set()

    def items(self) -> list[Item]:
        items = []
        for each, at in self.trained.items():
            items.append(Item(name=f"model:{each}", serves=of_model(NAME, each), moment=at))
            items.append(Item(name=f"training-set:{each}", serves=of_training(NAME, at), moment=at))
        return [item for item in items if item.name in self.stored]

    def needed(self) -> set[str]:
        """Said without the room under test: what must be there after any history."""
        models = {*self.releases[-2:], *self.unjudged}
        kinds = dict.fromkeys(self.unjudged, ("model", "training-set"))
        kinds |= dict.fromkeys(self.releases[-2:], ("model", "training-set", "cached-predictions"))
        return {f"{kind}:{each}" for each in models for kind in kinds[each]} | self.held

    @rule(days=st.integers(1, 25))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule()
    def train(self) -> None:
        name = f"m{len(self.trained)}"
        self.trained[name] = self.now
        self.now += timedelta(seconds=1)
        self.unjudged.add(name)
        self.stored |= {f"{kind}:{name}" for kind in KEPT_FOR}

    @precondition(lambda self: self.unjudged)
    @rule(passes=st.booleans(), data=st.data())
    def judge(self, passes: bool, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.unjudged)))
        self.unjudged.remove(name)
        if passes:
            self.releases.append(name)

    @precondition(lambda self: {f"{kind}:{each}" for each in self.releases[-2:-1] for kind in KEPT_FOR} <= self.stored)
    @precondition(lambda self: len(self.releases) > 1)
    @rule()
    def roll_back(self) -> None:
        self.releases.pop()

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        self.held.add(data.draw(st.sampled_from(sorted(self.stored))))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        self.held.remove(data.draw(st.sampled_from(sorted(self.held))))

    @rule()
    def retain(self) -> None:
        staying = [
            Staying(
                use_case=NAME,
                id=place,
                model_version=each,
                trained_at=self.trained[each],
                why="it may be live",
            )
            for place, each in enumerate(self.releases[-2:])
        ]
        waiting = [item for item in self.items() if item.name.partition(":")[2] in self.unjudged]
        decisions = decide(self.items(), KEPT_FOR, self.now, staying=staying, unjudged=waiting, held=self.held)
        before = set(self.stored)
        self.stored -= {each.item for each in decisions if each.removed}
        assert self.needed() & before <= self.stored
        for item in self.items():
            too_old = item.moment < self.now - KEPT_FOR[item.kind]
            assert not too_old or item.name in self.needed(), item

    @invariant()
    def the_champion_and_what_waits_or_is_held_are_always_whole(self) -> None:
        champion = {f"{kind}:{each}" for each in self.releases[-1:] for kind in KEPT_FOR}
        waiting = {f"{kind}:{each}" for each in self.unjudged for kind in KEPT_FOR}
        assert champion | waiting | self.held <= self.stored


Belt.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBelt = Belt.TestCase


def test_kinds_without_a_retention_are_kept_for_ever() -> None:
    old = Item(name="profiles:flight_delay/1/a/b", serves="release flight_delay/1", moment=utc("2000-01-01"))
    assert decide([old], KEPT_FOR, utc("2013-01-01"), staying=[], unjudged=[], held=()) == ()


def test_a_shared_table_is_kept_as_long_as_the_use_case_that_keeps_it_longest() -> None:
    short = replace(DECLARED, retention={"arrivals": timedelta(days=60), "weather": timedelta(days=90)})
    long = replace(DECLARED, name="flight_duration", retention={"arrivals": timedelta(days=400)})
    assert table_retention([short]) == {"arrivals": timedelta(days=60), "weather": timedelta(days=90)}
    assert table_retention([short, long]) == {"arrivals": timedelta(days=400)}


def test_a_table_cannot_be_kept_for_less_than_its_features_look_back() -> None:
    with pytest.raises(InputError, match=r"'arrivals' for 5 days, but features of .* look back 31 days"):
        table_retention([replace(DECLARED, retention={"arrivals": timedelta(days=5)})])
