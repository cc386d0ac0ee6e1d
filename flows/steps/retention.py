"""Steps that remove what is older than its use case keeps it."""

from datetime import datetime

from esteira import use_cases
from esteira.stewardship.retention import Decision
from esteira.stores.stewardship import retaining
from flows.steps.step import step


@step
def expire_rows(use_case: str, as_of: datetime) -> dict[str, int]:
    """Remove old rows from tables; rows removed per table that has a retention."""
    return retaining.expire_rows(use_cases.get(use_case).name, as_of)


@step
def retain_items(use_case: str, as_of: datetime) -> tuple[Decision, ...]:
    """Remove old models, training sets, profiles and cached predictions that nothing needs; return what was decided."""
    return retaining.retain_items(use_cases.get(use_case).name, as_of)
