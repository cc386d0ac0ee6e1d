"""A run that has spent what it may is stopped between two fits, with what it spent."""

import pytest

from esteira.errors import OverBudget
from esteira.training.allowance import UNLIMITED, Allowance


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_within_the_allowance_passes_and_time_beyond_it_stops_the_run() -> None:
    clock = Clock()
    allowance = Allowance(seconds=60, clock=clock, started=0.0)
    clock.now = 60.0
    allowance.require("the fit of trees")
    clock.now = 61.0
    with pytest.raises(OverBudget, match=r"stopped at the fit of trees: it has taken 61 s, and 60 s are allowed"):
        allowance.require("the fit of trees")


def test_memory_beyond_the_allowance_stops_the_run() -> None:
    allowance = Allowance(megabytes=1_000, held=lambda: 1_500.0)
    with pytest.raises(OverBudget, match=r"held 1,500 MB, and 1,000 MB are allowed. Raise ESTEIRA_RUN_MEGABYTES"):
        allowance.require("the fit of trees")


def test_without_limits_nothing_is_ever_too_much() -> None:
    UNLIMITED.require("anything")
