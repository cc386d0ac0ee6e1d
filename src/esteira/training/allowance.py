"""What a run may cost: it is asked before and after each fit, and stops the run that has spent more."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from esteira.errors import OverBudget


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """How long a run may take and how much memory its process may have held; None is without limit.

    A fit under way is not broken off: between two fits nothing is half-done, and nothing needs cleaning up.
    """

    seconds: float | None = None
    megabytes: float | None = None
    held: Callable[[], float] = lambda: 0.0
    """The most memory the process has held, in megabytes."""
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)

    def require(self, step: str) -> None:
        """Raise OverBudget when the run, at ``step``, has spent more than it may."""
        spent = self.clock() - self.started
        if self.seconds is not None and spent > self.seconds:
            raise OverBudget(
                f"The run was stopped at {step}: it has taken {spent:.0f} s, and {self.seconds:g} s are allowed. Raise "
                "ESTEIRA_RUN_SECONDS, or train fewer candidates, without tuning, or on fewer rows."
            )
        if self.megabytes is not None and (held := self.held()) > self.megabytes:
            raise OverBudget(
                f"The run was stopped at {step}: its process has held {held:,.0f} MB, and {self.megabytes:,.0f} MB are "
                "allowed. Raise ESTEIRA_RUN_MEGABYTES, or train on fewer rows or columns."
            )


UNLIMITED = Allowance()
