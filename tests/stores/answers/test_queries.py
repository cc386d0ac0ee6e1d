from datetime import timedelta
from pathlib import Path

import pytest

from esteira import use_cases
from esteira.errors import InputError, MissingData
from esteira.stores import audit
from esteira.stores.answers import predictions, queries
from esteira.stores.answers.prediction_log import PredictionLog
from tests.cli.test_cli import esteira
from tests.stores.answers.asked import START, logged

DECLARED = use_cases.get("flight_delay")
COUNTS = "select day, model_version, count(*) as n from predictions group by day, model_version order by day"


def log_two_days() -> None:
    log = PredictionLog("flight_delay", started_at=START)
    canary = logged("c", as_of=START + timedelta(days=1)).model_copy(update={"inputs": {"tailnum": ["N0CANARY"]}})
    for answers in (logged("a", "b"), canary):
        log.write(answers).result(timeout=5)
    log.close()


def test_one_query_counts_predictions_per_day_and_version(home: Path) -> None:
    log_two_days()
    predictions.collect("flight_delay")
    found = queries.query(DECLARED, COUNTS, purpose=None, actor="ana")
    assert [(str(day), version, n) for day, version, n in found.rows()] == [
        ("2013-03-01", "m3", 2),
        ("2013-03-02", "m3", 1),
    ]
    assert audit.entries() == []


def test_inputs_and_features_are_read_for_a_stated_purpose_which_is_recorded(home: Path) -> None:
    log_two_days()
    predictions.collect("flight_delay")
    everything = "select * from predictions"
    assert "N0CANARY" not in queries.query(DECLARED, everything, purpose=" ", actor="ana").write_csv()
    with pytest.raises(InputError, match="with --purpose also inputs and features"):
        queries.query(DECLARED, "select inputs from predictions", purpose=None, actor="ana")
    assert "N0CANARY" in queries.query(DECLARED, everything, purpose="a complaint", actor="ana").write_csv()
    asked = "select count(*) from predictions where inputs like '%N0CANARY%'"
    queries.query(DECLARED, asked, purpose="a complaint", actor="ana")
    first, second = audit.entries()
    assert (first.actor, first.subject, first.reason) == ("ana", "predictions:flight_delay", "a complaint")
    assert second.details == {"sql": "select count(*) from predictions where inputs like '…'"}


@pytest.mark.parametrize("sql", ["select nothing from predictions", "select", "nonsense"])
def test_what_is_no_select_from_predictions_is_refused_in_a_sentence(home: Path, sql: str) -> None:
    log_two_days()
    predictions.collect("flight_delay")
    with pytest.raises(InputError, match="Expected one SELECT from the table predictions"):
        queries.query(DECLARED, sql, purpose=None, actor="ana")


def test_nothing_that_is_asked_changes_the_table(home: Path) -> None:
    log_two_days()
    predictions.collect("flight_delay")
    queries.query(DECLARED, "drop table predictions", purpose=None, actor="ana")
    assert predictions.read_predictions("flight_delay").height == 3


def test_before_anything_was_logged_there_is_nothing_to_ask(home: Path) -> None:
    with pytest.raises(MissingData):
        queries.query(DECLARED, COUNTS, purpose=None, actor="ana")


def test_the_command_collects_first_and_prints_rows_as_json(home: Path) -> None:
    log_two_days()
    ran = esteira(home, "predictions", "query", COUNTS, "--use-case", "flight_delay", "--json")
    assert ran.stdout.splitlines()[0] == '{"day":"2013-03-01","model_version":"m3","n":2}', ran.stderr
