"""What a rule says of one slice: the column, the rule, what was expected and found, and what comes of it."""

from typing import Literal

from esteira.model_card import Frozen

Outcome = Literal["pass", "warn", "quarantine", "fail"]
"""warn: told, nothing else; quarantine: the offending rows are kept apart; fail: nothing of the slice is written."""


class Finding(Frozen):
    """One rule, applied to one column of a slice."""

    table: str
    column: str
    rule: str
    outcome: Outcome
    expected: str
    found: str
    rows: int
    """Rows that break the rule; for a rule about the slice as a whole, the rows looked at."""

    def __str__(self) -> str:
        return (
            f"{self.outcome}: {self.table}.{self.column}: {self.rule}: expected {self.expected}, found {self.found} "
            f"({self.rows} rows)"
        )
