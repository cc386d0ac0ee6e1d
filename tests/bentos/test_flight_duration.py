"""The second service, over real HTTP from its bento: the same questions, other answers, with intervals that hold."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import polars as pl
import pytest

from esteira import use_cases
from esteira.cli.service import service_running
from esteira.contract import CREATED, EVENT
from esteira.settings import settings
from esteira.stores.data import tables
from esteira.stores.processes import free_port
from esteira.stores.releases import ledger
from tests.bentos.belt import question
from tests.conftest import Belt
from tests.released import released

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
NAME = "flight_duration"


@pytest.fixture(scope="module")
def url(belt: Belt) -> Iterator[str]:
    released(belt, NAME)
    with service_running(ledger.live(NAME), free_port(settings().service_port)) as url:
        yield url


@pytest.fixture(scope="module")
def tomorrow(belt: Belt) -> pl.DataFrame:
    """Flights asked about within the day after the belt's moment."""
    declared = use_cases.get(NAME)
    entities = declared.build_entities(tables.read_known(declared.entity_reads, belt.as_of))
    return entities.filter(pl.col(EVENT).is_between(belt.as_of, belt.as_of + timedelta(hours=24))).sort("flight_id")


def asked(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = httpx.post(f"{url}/predict", json=body, timeout=30)
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["predictions"]
    return answers


def test_a_flight_is_answered_with_minutes_an_interval_and_no_decision(
    url: str, belt: Belt, tomorrow: pl.DataFrame
) -> None:
    flights = [question(row) for row in tomorrow.head(3).iter_rows(named=True)]
    for flight, answer in zip(flights, asked(url, {"flights": flights}), strict=True):
        low, high = answer["interval"]
        assert 15 <= low < answer["prediction"] < high <= 900
        planned = minutes(flight)
        assert abs(answer["prediction"] - planned) < 60, (planned, answer["prediction"])
        assert (answer["decision"], answer["band"], answer["source"]) == (None, None, "cached")
    alone = asked(url, {"flights": [{"flight_id": flights[0]["flight_id"]}], "as_of": belt.as_of.isoformat()})
    assert (alone[0]["source"], alone[0]["entity_id"]) == ("computed", flights[0]["flight_id"])


def test_nine_of_ten_flights_of_the_next_day_took_as_long_as_the_interval_said(
    url: str, belt: Belt, tomorrow: pl.DataFrame
) -> None:
    declared = use_cases.get(NAME)
    source = declared.source
    landed = source.read("arrivals", belt.as_of, belt.as_of + timedelta(days=3))
    came = declared.build_outcomes({"arrivals": landed}).select("flight_id", "outcome", CREATED)
    flown = tomorrow.select("flight_id").join(came, on="flight_id")
    body = {"flight_ids": flown["flight_id"].to_list()}
    response = httpx.post(f"{url}/cached", json=body, timeout=30).json()
    assert response["absent"] == {}
    outcomes = dict(flown.select("flight_id", "outcome").iter_rows())
    held = [
        each["interval"][0] <= outcomes[each["entity_id"]] <= each["interval"][1] for each in response["predictions"]
    ]
    # One day: its winds are shared by all its flights, so the share differs by more than chance alone would allow.
    assert len(held) > 700
    assert 0.8 < sum(held) / len(held) < 0.97


def minutes(flight: dict[str, Any]) -> float:
    left, arrived = (datetime.fromisoformat(flight[f"scheduled_{each}"]) for each in ("departure", "arrival"))
    return (arrived - left).total_seconds() / 60
