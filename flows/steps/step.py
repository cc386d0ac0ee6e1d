"""What makes a function a task of the belt: its retry policy and its name.

The plain function behind a step is ``step.fn``; it runs without Prefect and gives the same result. Under
``flows.plain`` a step is that function.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from esteira.errors import EsteiraError
from esteira.stores.disk import full_disk_told
from flows.plain import is_plain

P = ParamSpec("P")
R = TypeVar("R")


def _is_worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    # What Esteira refuses on purpose stays refused; only the outside world (a lock, a network) may recover.
    return not isinstance(state.result(raise_on_failure=False), EsteiraError)


class Step(Task[P, R]):
    """A task that is its plain function where flows run without Prefect."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # callers see Task's own signature
        """Run as a task of the flow run, or plainly."""
        return self.fn(*args, **kwargs) if is_plain() else super().__call__(*args, **kwargs)


def step(function: Callable[P, R]) -> Task[P, R]:
    """Make a task of ``function``: retried twice, its stores being idempotent, and named after it."""
    name = function.__name__.replace("_", "-")

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        # Vendors write too: Feast its registry, MLflow its runs.
        with full_disk_told(f"What step {name} makes"):
            return function(*args, **kwargs)

    return Step(
        told,
        name=name,
        cache_policy=NO_CACHE,  # Prefect would hash every argument; the stores know what is written already
        retries=2,
        retry_delay_seconds=exponential_backoff(backoff_factor=1),
        retry_condition_fn=_is_worth_retrying,
    )
