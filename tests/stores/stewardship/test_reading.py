from pathlib import Path

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, MOMENT, utc
from esteira.errors import AccessRefused, FeatureError, UnknownName
from esteira.settings import settings
from esteira.stores import audit
from esteira.stores.data import tables
from esteira.stores.stewardship import reading, sensitivity
from tests.stores.feature_store.planted import use_repository

NOON = utc("2013-03-01T12:00:00Z")


def write_departures() -> None:
    rows = pl.DataFrame(
        {"flight_id": ["f1", "f2"], "tailnum": ["N0CANARY", None], EVENT: [NOON, NOON], CREATED: [NOON, NOON]},
        schema_overrides={EVENT: MOMENT, CREATED: MOMENT},
    )
    tables.append("departures", rows, until=NOON)


def test_without_naming_them_restricted_values_are_shown_masked(home: Path) -> None:
    write_departures()
    shown = reading.read("departures", actor="ana")
    assert shown["flight_id"].to_list() == ["f1", "f2"]
    assert "N0CANARY" not in shown.write_csv()
    assert audit.entries() == []


@pytest.mark.parametrize("purpose", [None, "", "  "])
def test_naming_a_restricted_column_without_a_purpose_is_refused(home: Path, purpose: str | None) -> None:
    write_departures()
    with pytest.raises(AccessRefused, match="'tailnum'"):
        reading.read("departures", columns=["flight_id", "tailnum"], purpose=purpose, actor="ana")
    assert reading.read("departures", columns=["flight_id"], actor="ana").columns == ["flight_id"]
    assert audit.entries() == []


def test_a_stated_purpose_opens_the_values_and_is_recorded(home: Path) -> None:
    write_departures()
    shown = reading.read("departures", columns=["tailnum"], rows=1, purpose="Complaint 12", actor="ana")
    assert shown["tailnum"].to_list() == ["N0CANARY"]
    (entry,) = audit.entries()
    assert (entry.actor, entry.action, entry.subject, entry.reason, entry.details) == (
        "ana", "read restricted", "table:departures", "Complaint 12", {"columns": ["tailnum"]},
    )  # fmt: skip


def test_a_column_that_is_not_there_is_named(home: Path) -> None:
    write_departures()
    with pytest.raises(UnknownName, match="tail_number"):
        reading.read("departures", columns=["tail_number"], purpose="why", actor="ana")


def test_a_tag_on_any_field_restricts_the_column_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64
person = Entity(name="person", join_keys=["person_id"], value_type=ValueType.STRING, tags={"sensitivity": "pii"})
table = FileSource(path="x", timestamp_field="t")
pay = FeatureView(name="pay", entities=[person], ttl=timedelta(days=1), source=table,
    schema=[Field(name="salary", dtype=Float64, tags={"sensitivity": "restricted"})])
"""
    use_repository(monkeypatch, tmp_path, planted=planted)
    assert sensitivity.restricted_columns() == {"tailnum": "pii", "person_id": "pii", "salary": "restricted"}
    planted_file = settings().feature_repo_path / "planted.py"
    planted_file.write_text(planted.replace('"restricted"', '"secret"'))
    with pytest.raises(FeatureError, match="'salary': 'secret'"):
        sensitivity.restricted_columns()
