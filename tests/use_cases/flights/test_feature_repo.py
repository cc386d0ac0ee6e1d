"""The Feast repository says of the flight features what their computation does: names, keys, types, ages."""

import importlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, FeatureTable
from esteira.settings import REPOSITORY
from esteira.use_cases.flight_delay import USE_CASE
from esteira.use_cases.flights.features import FEATURE_TABLES
from esteira.use_cases.flights.on_demand import INPUTS, OUTPUTS
from esteira.use_cases.flights.source import FlightsSource
from esteira.use_cases.flights.tables import START

FEAST_TYPES = {"Float64": pl.Float64(), "Int64": pl.Int64(), "String": pl.String()}


@pytest.fixture(scope="module")
def repository() -> Iterator[SimpleNamespace]:
    """Everything the repository's files name, as Feast imports them: from their own folder, as top-level modules."""
    folder = REPOSITORY / "feature_repo"
    files = ("flights", "flights_at_request")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield SimpleNamespace(**{k: v for file in files for k, v in vars(importlib.import_module(file)).items()})
    for file in files:
        sys.modules.pop(file)


@pytest.mark.parametrize("table", FEATURE_TABLES, ids=lambda table: table.name)
def test_computed_columns_equal_declared_ones(repository: SimpleNamespace, table: FeatureTable) -> None:
    view = getattr(repository, table.name)
    source = FlightsSource()
    until = START + timedelta(days=2)
    rows = table.compute({name: source.read(name, START - timedelta(seconds=1), until) for name in table.reads})
    declared = {field.name: FEAST_TYPES[str(field.dtype)] for field in view.features}
    computed = {name: kind for name, kind in rows.schema.items() if name not in {*table.keys, EVENT, CREATED}}
    assert {name: found_as(kind, declared.get(name)) for name, kind in computed.items()} == declared
    # Entities are named after their join keys.
    assert sorted(view.entities) == sorted(table.keys)


def found_as(computed: pl.DataType, declared: pl.DataType | None) -> pl.DataType:
    """The type a computed column has once stored: a whole number may be declared as a float."""
    return pl.Float64() if computed == pl.Int64 and declared == pl.Float64 else computed


def test_every_feature_is_described_owned_and_aged(repository: SimpleNamespace) -> None:
    for table in FEATURE_TABLES:
        view = getattr(repository, table.name)
        assert view.description, table.name
        assert view.owner, table.name
        assert view.ttl > timedelta(0), table.name
        assert {"source", "window"} <= set(view.tags), table.name
        assert all(field.description for field in view.features), table.name
    assert all(repository.flight_at_request.tags[name] for name in OUTPUTS)


def test_the_on_demand_view_declares_what_is_computed_and_asks_for_what_is_needed(repository: SimpleNamespace) -> None:
    view = repository.flight_at_request
    assert [field.name for field in view.features] == list(OUTPUTS)
    asked = {
        field.name for projection in view.source_feature_view_projections.values() for field in projection.features
    }
    requested = {field.name for source in view.source_request_sources.values() for field in source.schema}
    assert asked | requested == set(INPUTS)
    assert requested == set(USE_CASE.request_inputs)


def test_no_two_tables_share_a_name() -> None:
    names = [table.name for table in USE_CASE.source.tables] + [table.name for table in FEATURE_TABLES]
    assert len(names) == len(set(names))
