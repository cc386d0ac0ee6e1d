import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import EsteiraError, InputError, InvalidRequest, MissingData
from esteira.serving.reports import OutcomeReport, OutcomeReports
from esteira.stores.answers import outcomes, predictions
from esteira.stores.answers.outcome_import import read_reports
from esteira.stores.answers.outcome_log import OutcomeLog
from esteira.stores.answers.prediction_log import PredictionLog
from tests.stores.answers.asked import START, logged

DECLARED = use_cases.get("flight_delay")
AFTER = START + timedelta(hours=3)


def report(**about: Any) -> OutcomeReport:
    return OutcomeReport.model_validate({"outcome": 1.0, "happened_at": AFTER, "source": "desk", **about})


def counted() -> list[tuple[Any, ...]]:
    return outcomes.read_settled("flight_delay").select("entity_id", "outcome", "status").rows()


def tell(*reports: OutcomeReport) -> None:
    log = OutcomeLog(DECLARED)
    log.start()
    assert asyncio.run(log.report(OutcomeReports(outcomes=list(reports)))).taken == len(reports)
    log.stop()


def test_what_a_service_was_told_is_collected_once_and_settled_by_prediction(home: Path) -> None:
    log = PredictionLog("flight_delay", started_at=START)
    log.write(logged("a")).result(timeout=5)
    log.close()
    tell(report(prediction_id="a"), report(prediction_id="not collected yet"))
    assert outcomes.collect("flight_delay") == 2
    assert outcomes.collect("flight_delay") == 0
    assert [each[2] for each in counted()] == ["unknown", "unknown"]
    predictions.collect("flight_delay")
    assert sorted(counted(), key=str) == [("flight-a", 1.0, "counted"), (None, 1.0, "unknown")]


def test_a_use_case_reads_only_what_was_known_then(home: Path) -> None:
    outcomes.append(DECLARED, [report(entity_id="f", known_at=AFTER + timedelta(days=1))], now=utc("2026-01-01"))
    assert outcomes.read_reported("flight_delay", until=AFTER).height == 0
    assert outcomes.read_reported("flight_delay", until=AFTER + timedelta(days=1)).rows() == [
        ("f", 1.0, AFTER, AFTER + timedelta(days=1))
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcome": 0.5}, "neither 0 nor 1"),
        ({"happened_at": utc("2999-01-01")}, "cannot be known"),
        ({"known_at": utc("2999-01-01")}, "cannot be known"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused_and_none_beside_it_is_taken(
    home: Path, change: dict[str, Any], words: str
) -> None:
    log = OutcomeLog(DECLARED)
    log.start()
    with pytest.raises(InvalidRequest, match=words):
        asyncio.run(log.report(OutcomeReports(outcomes=[report(entity_id="f"), report(entity_id="g", **change)])))
    log.stop()
    with pytest.raises(InvalidRequest, match=words):
        outcomes.append(DECLARED, [report(entity_id="f"), report(entity_id="g", **change)], now=utc("2026-01-01"))
    assert outcomes.collect("flight_delay") == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_file_is_imported_once_however_often_it_is_given(home: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"desk.{suffix}"
    rows = pl.DataFrame(
        {"entity_id": ["f1", "f2"], "outcome": [1, 0], "happened_at": ["2013-03-01T15:00:00Z", "2013-03-01T16:00:00Z"]}
    )
    {"csv": rows.write_csv, "parquet": rows.write_parquet, "jsonl": rows.write_ndjson}[suffix](path)
    read = read_reports(str(path), query=None, source="desk.csv")
    assert outcomes.append(DECLARED, read, now=AFTER + timedelta(days=1)) == 2
    assert outcomes.append(DECLARED, read, now=AFTER + timedelta(days=2)) == 0
    assert sorted(counted()) == [("f1", 1.0, "counted"), ("f2", 0.0, "counted")]


def test_outcomes_are_read_from_a_database(home: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    with sa.create_engine(url).begin() as theirs:
        theirs.execute(sa.text("create table arrivals (id text, late integer, at text)"))
        theirs.execute(sa.text("insert into arrivals values ('f1', 1, '2013-03-01T15:00:00')"))
    query = "select id as entity_id, late as outcome, at as happened_at, 0.8 as confidence from arrivals"
    (found,) = read_reports(url, query=query, source="theirs")
    assert (found.entity_id, found.outcome, found.confidence) == ("f1", 1.0, 0.8)
    assert found.happened_at == utc("2013-03-01T15:00:00Z")
    with pytest.raises(MissingData, match="no such table"):
        read_reports(url, query="select * from nowhere", source="theirs")
    with pytest.raises(InputError, match="--query"):
        read_reports(url, query=None, source="theirs")


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://ana:N0CANARY@127.0.0.1:1/x", "nonsense://ana:N0CANARY@h/x", "://N0CANARY"]
)
def test_a_password_is_never_told(home: Path, url: str) -> None:
    with pytest.raises(EsteiraError) as refused:
        read_reports(url, query="select 1", source="theirs")
    assert "N0CANARY" not in f"{refused.value}"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("entity_id,outcome\nf1,1\n", "Row 1 is no report"),
        ("entity_id,prediction_id,outcome,happened_at\nf,p,1,2013-03-01\n", "either prediction_id or entity_id"),
        ("entity_id,outcome,happened_at\nf,1,2013-03-01\nf,yes,2013-03-01\n", "Row 2 .*outcome"),
        ("entity_id,outcome,happened_at\nf,nan,2013-03-01\n", "Row 1"),
        ("entity_id,outcome,happened_at\nf,1,yesterday\n", "Cannot read 'yesterday' as a moment"),
        ("entity_id,outcome,happened_at,more\nf,1,2013-03-01,x\n", "more"),
    ],
)
def test_a_file_with_a_row_that_is_no_report_is_refused_whole(
    home: Path, tmp_path: Path, rows: str, words: str
) -> None:
    path = tmp_path / "desk.csv"
    path.write_text(rows)
    with pytest.raises(InputError, match=words):
        read_reports(str(path), query=None, source="desk")


def test_a_file_that_is_absent_or_of_another_kind_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="Cannot read outcomes"):
        read_reports(str(tmp_path / "absent.csv"), query=None, source="desk")
    with pytest.raises(InputError, match=r"must end in \.csv"):
        read_reports(str(tmp_path / "x.pkl"), query=None, source="desk")
