"""What a terminal is told of a flow's record, and with which exit it ends."""

import pytest

from esteira.cli import belt
from esteira.contract import utc
from esteira.errors import ReleaseError
from esteira.training.verdict import Check, conclude
from flows.validate import Validated


def validated(*, passed: bool | None) -> Validated:
    check = Check(name="non-inferiority", passed=bool(passed), sentence="It is compared.")
    return Validated(
        use_case="flight_delay", as_of=utc("2013-03-01"), challenger=None if passed is None else "2013-03-01-ab",
        release=1 if passed else None, verdict=None if passed is None else conclude("log_loss", [check], {}, ()),
        outcome="Refused: 2013-03-01-ab",
    )  # fmt: skip


def test_a_refusal_by_the_gate_is_a_failure_of_the_command() -> None:
    with pytest.raises(ReleaseError, match=r"Refused: 2013-03-01-ab.*stays as it was.*verdicts show flight_delay"):
        belt.require_passed(validated(passed=False))


@pytest.mark.parametrize("passed", [True, None])
def test_a_release_and_nothing_to_judge_are_no_failure(passed: bool | None) -> None:
    belt.require_passed(validated(passed=passed))


def test_what_a_record_does_not_hold_is_not_told() -> None:
    told = "\n".join(belt.told(validated(passed=None)))
    assert "None" not in told
    assert "outcome: Refused" in told
