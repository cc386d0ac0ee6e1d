"""A use case that breaks a law is told so, with what to do: each law is broken once, on purpose."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.pipeline import Pipeline

from esteira.conformance.case import Case, first_worthwhile_moment
from esteira.conformance.check import judge, laws
from esteira.conformance.law import LAWS, Law
from esteira.contract import CREATED, Candidate, Frames
from esteira.stores.feature_store import features
from esteira.use_cases.flight_delay import USE_CASE
from esteira.use_cases.flight_delay.labels import arrived_late
from esteira.use_cases.flights.source import FlightsSource
from tests.conftest import Belt


def law(name: str) -> Law:
    return next(each for each in LAWS if each.name == name)


def broken(name: str, case: Case) -> str:
    found = judge(law(name), case).broken
    assert found is not None, f"{name} did not notice"
    return found


def build_without_seed(*, threads: int, device: str) -> Pipeline:
    raise AssertionError("never built")


def unreviewed() -> FlightsSource:
    source = FlightsSource()
    source.schema_file = Path("nowhere/schema.json")
    return source


SOURCE = USE_CASE.source
AS_OF = first_worthwhile_moment(USE_CASE)
DECLARATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("it_says_what_it_is_for_and_whose_it_is", {"owner": " "}, "owner is empty"),
    ("it_says_what_it_is_for_and_whose_it_is", {"limits": ()}, "limits is empty"),
    ("no_two_tables_share_a_name", {"feature_tables": USE_CASE.feature_tables * 2}, "declared twice"),
    ("what_is_read_is_declared", {"outcome_reads": ("arivals",)}, "reads ['arivals']"),
    ("every_raw_table_has_a_reviewed_schema", {"source": unreviewed()}, "esteira data schema propose flight_delay"),
    ("the_entity_is_one_of_the_keys", {"entity_id": "flight_number"}, "is not among entity_keys"),
    ("the_entity_is_one_of_the_keys", {"request_inputs": ("carrier",)}, "are both"),
    ("every_candidate_can_be_built", {"candidates": ()}, "no candidate"),
    (
        "every_candidate_can_be_built",
        {"candidates": (Candidate(name="odd", build=build_without_seed),)},
        "takes ['device', 'threads']",
    ),
    ("the_decision_lies_within_the_bounds", {"bounds": (0.9, 0.1)}, "is no range"),
    ("the_decision_lies_within_the_bounds", {"bounds": (-1.0, 1.0)}, "exceed what a probability can be"),
    ("the_decision_lies_within_the_bounds", {"threshold": 2.0}, "lies outside"),
    ("it_is_served_or_says_that_it_is_not", {"is_served": False}, "Decide for one"),
    ("it_is_served_or_says_that_it_is_not", {"name": "flight_dely"}, "declare is_served=False"),
]


@pytest.mark.parametrize(("name", "change", "said"), DECLARATIONS)
def test_a_broken_declaration_is_named(name: str, change: dict[str, Any], said: str) -> None:
    assert said in broken(name, Case(replace(USE_CASE, **change), AS_OF))


def test_every_declaration_law_is_broken_here_once() -> None:
    assert {each.name for each in laws("declaration")} == {name for name, _, _ in DECLARATIONS}


def test_an_error_in_a_use_cases_own_code_is_a_finding_not_a_crash() -> None:
    def fails(frames: Frames) -> pl.DataFrame:
        raise KeyError("no such column")

    case = Case(replace(USE_CASE, build_entities=fails), AS_OF)
    case.__dict__["raw"] = {}
    assert "KeyError: 'no such column'" in broken("a_binary_outcome_is_zero_or_one", case)


def outcomes(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Frames], pl.DataFrame]:
    return lambda frames: change(arrived_late(frames))


DATA: list[tuple[str, dict[str, Any], str]] = [
    (
        "a_label_is_unknown_before_its_outcome_arrived",
        {"build_outcomes": outcomes(lambda rows: rows.with_columns(pl.lit(SOURCE.span()[0]).alias(CREATED)))},
        "are known when the question is asked",
    ),
    ("outcomes_take_no_longer_than_declared", {"label_delay": timedelta(hours=3)}, "label_delay is 3:00:00"),
    (
        "a_binary_outcome_is_zero_or_one",
        {"build_outcomes": outcomes(lambda rows: rows.with_columns(pl.lit(2.0).alias("outcome")))},
        "Outcomes are [2.0]",
    ),
    ("online_features_equal_offline_ones", {"horizon": timedelta(0)}, "No entity known at"),
    (
        "computed_columns_are_the_declared_ones",
        {"feature_tables": (replace(USE_CASE.feature_tables[0], keys=("dest",)),)},
        "keys are ('dest',) in the use case",
    ),
]


@pytest.mark.slow
@pytest.mark.xdist_group("belt")
@pytest.mark.parametrize(("name", "change", "said"), DATA)
def test_broken_data_are_named(belt: Belt, name: str, change: dict[str, Any], said: str) -> None:
    assert said in broken(name, Case(replace(belt.use_case, **change), belt.as_of, belt.challenger))


@pytest.mark.slow
@pytest.mark.xdist_group("belt")
def test_a_feature_that_is_the_label_is_named(belt: Belt) -> None:
    case = Case(belt.use_case, belt.as_of, belt.challenger)
    leaking = case.training_set.with_columns(pl.col("outcome").alias("distance_miles"))
    case.__dict__["training_set"] = leaking
    assert "distance_miles" in broken("no_label_hides_in_a_feature", case)


@pytest.mark.slow
@pytest.mark.xdist_group("belt")
def test_a_number_that_is_restricted_is_named(belt: Belt, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(belt.use_case, belt.as_of, belt.challenger)
    assert judge(law("a_restricted_feature_is_a_category"), case).broken is None
    monkeypatch.setattr(features, "sensitive_columns", lambda: {"distance_miles": "restricted", "tailnum": "pii"})
    assert "['distance_miles'] are restricted" in broken("a_restricted_feature_is_a_category", case)
