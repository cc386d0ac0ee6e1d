"""``esteira features worth`` on a real belt."""

import re

import pytest
from typer.testing import CliRunner

from esteira.cli import app
from esteira.errors import InputError, UnknownName
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]


def words(belt: Belt, *more: str) -> list[str]:
    return ["features", "worth", belt.use_case.name, "--as-of", belt.as_of.isoformat(), *more]


def test_worth_tells_what_a_group_adds_and_what_it_takes_to_keep(belt: Belt) -> None:
    groups = ("--group", "traffic=origin_dep_delay_mean_1h,origin_dep_delay_mean_3h", "--group", "clock=local_hour")
    told = CliRunner().invoke(app, words(belt, *groups), env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.exception
    for group in ("traffic", "clock"):  # on two months the answer itself may go either way
        assert re.search(rf"^{group} (helps|harms|is worth nothing).*: [+-]0\.\d+ \[", told.stdout, re.MULTILINE), group
    assert "computed when asked" in told.stdout
    assert "ms to look up" in told.stdout
    assert "boosted_trees learned from" in told.stdout


def test_what_is_no_group_or_no_candidate_is_refused(belt: Belt) -> None:
    for more, error, match in (
        (("--group", "nothing"), InputError, "Expected name=feature,feature"),
        (("--group", "g=shoe_size"), UnknownName, "Unknown feature 'shoe_size'"),
        (("--candidate", "oracle"), UnknownName, r"candidate 'oracle'. Known: logistic_regression, boosted_trees"),
    ):
        with pytest.raises(error, match=match):
            CliRunner().invoke(app, words(belt, *more), catch_exceptions=False)
