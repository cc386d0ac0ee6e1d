from datetime import timedelta

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, utc
from esteira.errors import FeatureError
from esteira.features.availability import assess, obstacles, require_available
from esteira.model_card import Column

NOON = utc("2013-03-01T12:00")
COLUMNS = (
    Column(name="wind", type="number", view="weather"),
    Column(name="arrived", type="number", view="landings"),
    Column(name="hour", type="number", view="at_request"),
)
JOINED = pl.DataFrame({"wind": [1.0, None, 3.0, 4.0], "arrived": [None] * 4, "hour": [1, 2, 3, 4]})


def table(name: str, delays: list[int], values: list[float | None]) -> pl.LazyFrame:
    events = [NOON + timedelta(hours=place) for place in range(len(delays))]
    known = [event + timedelta(minutes=delay) for event, delay in zip(events, delays, strict=True)]
    return pl.LazyFrame({EVENT: events, CREATED: known, name: values})


def test_delay_null_share_and_missing_share_are_told_per_feature() -> None:
    tables = {"weather": table("wind", [5, 5, 5, 90], [1.0, None, None, 2.0])}
    wind, arrived, hour = assess(COLUMNS, JOINED, tables, {})
    assert (wind.delay_median, wind.delay_p95) == (timedelta(minutes=5), timedelta(minutes=90))
    assert (wind.null_share, wind.missing_share, wind.obstacle) == (0.5, 0.25, None)
    assert (hour.delay_median, hour.null_share, hour.missing_share) == (None, None, 0.0)
    assert arrived.missing_share == 1.0


def test_an_empty_table_has_no_delay() -> None:
    (wind, *_) = assess(
        COLUMNS[:1],
        JOINED,
        {"weather": table("wind", [], []).cast({EVENT: pl.Datetime("us", "UTC"), CREATED: pl.Datetime("us", "UTC")})},
        {},
    )
    assert (wind.delay_median, wind.delay_p95, wind.null_share) == (None, None, 0.0)


def test_a_feature_that_no_question_finds_is_an_obstacle() -> None:
    found = obstacles(COLUMNS, JOINED, {})
    assert list(found) == ["arrived"]
    assert "not one of 4 questions found a value" in found["arrived"]


def test_a_feature_that_cannot_be_read_online_is_an_obstacle_whatever_the_join_finds() -> None:
    assert obstacles(COLUMNS, JOINED, {"wind": "online=False"})["wind"] == "online=False"


def test_without_questions_nothing_is_said_to_be_missing() -> None:
    assert obstacles(COLUMNS, JOINED.clear(), {}) == {}


def test_training_on_what_will_not_exist_is_refused_by_name() -> None:
    with pytest.raises(
        FeatureError, match=r"'flight_delay_v1' that will not exist.*'arrived': not one of 4.*feature_repo/"
    ):
        require_available("flight_delay_v1", obstacles(COLUMNS, JOINED, {}))
    require_available("flight_delay_v1", {})
