"""The commands about runs, on MLflow's own database with a few recorded runs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from esteira.cli.runs import app
from esteira.errors import UnknownName
from esteira.model_card import Estimate
from esteira.stores.model_store import tracking
from tests.stores.model_store.test_tracking import database, empty_database, pytestmark, record

__all__ = ["database", "empty_database", "pytestmark"]


def told(*words: str) -> str:
    result = CliRunner(env={"COLUMNS": "250"}).invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_runs_are_listed_compared_and_shown(home: Path) -> None:
    assert "There is no run yet" in told("list")
    record(version="2013-03-01-aa", metrics={"log_loss": Estimate(value=0.5, low=0.4, high=0.6, rows=9)})
    record(
        version="2013-03-01-bb",
        parameters={"max_depth": 5},
        code_commit="other",
        data_versions={"arrivals": 4},
        metrics={"log_loss": Estimate(value=0.4, low=0.3, high=0.5, rows=9)},
    )
    tracking.record_failure("flight_delay", as_of="2013-02-01", reason="NotEnoughData: No labels.", tags={})
    newest, best = told("list"), told("list", "flight_delay", "--by", "log_loss", "--limit", "2")
    assert "FAILED NotEnoughData: No labels." in newest
    assert best.index("2013-03-01-bb") < best.index("2013-03-01-aa")
    assert "FAILED" not in best
    compared = told("compare", "2013-03-01-aa", "2013-03-01-bb")
    for part in ("max_depth", "code_commit", "abc", "other", "data_version/arrivals", "-0.1", "environment: the same"):
        assert part in compared, part
    assert "slices" not in compared
    shown = told("show", "2013-03-01-bb", "--details")
    assert "size_bytes" in shown
    assert "importance/delay" in shown


def test_an_unknown_run_or_metric_is_refused_with_what_there_is(home: Path) -> None:
    record(version="2013-03-01-aa")
    with pytest.raises(UnknownName, match="Known: 2013-03-01-aa"):
        told("show", "three")
    with pytest.raises(UnknownName, match="metric 'accuracy'"):
        told("list", "--by", "accuracy")
