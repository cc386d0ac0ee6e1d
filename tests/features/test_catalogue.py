from datetime import timedelta
from typing import Any

import pytest

from esteira.errors import UnknownName
from esteira.features.catalogue import Feature, named, repeats, search
from esteira.features.rolling import Window

MEAN_3H = Window("origin_dep_delay_mean_3h", "dep_delay", "mean", timedelta(hours=3))


def feature(name: str = MEAN_3H.name, **changed: Any) -> Feature:
    told: dict[str, Any] = {
        "view": "origin_traffic", "type": "Float64", "description": "Mean departure delay of 3 hours.",
        "owner": "flights@esteira.example", "is_stored": True, "keys": ("origin",), "ttl": timedelta(days=1),
        "sources": ("due", "departures"), "window": MEAN_3H, "feeds": (), "services": ("flight_delay_v1",),
    }  # fmt: skip
    return Feature(name=name, **(told | changed))


def test_a_windowed_feature_says_what_it_aggregates() -> None:
    assert feature().definition == "mean of dep_delay over the last 3 h in due, departures, per origin"


def test_a_feature_without_window_says_where_it_is_taken_from() -> None:
    assert feature(window=None, sources=("planes",)).definition == "taken from planes, per origin"
    assert feature(is_stored=False).definition == "computed when asked, from due, departures"


def test_search_finds_what_mentions_every_word_in_whatever_case() -> None:
    weather = feature("weather_temp", description="Temperature.", sources=("weather",), window=None)
    assert search([feature(), weather], "DELAY origin") == (feature(),)
    assert search([feature(), weather], "flights@esteira") == (feature(), weather)
    assert search([feature(), weather], "weather") == (weather,)


def test_search_without_a_find_is_refused_with_what_to_do() -> None:
    with pytest.raises(UnknownName, match=r"No feature mentions 'spend'.*esteira features list"):
        search([feature()], "spend")


def test_a_name_in_two_views_is_found_in_both_and_an_unknown_one_is_refused() -> None:
    twice = (feature(), feature(view="other"))
    assert named(twice, MEAN_3H.name) == twice
    with pytest.raises(UnknownName, match=r"Unknown feature 'spend'. Known: origin_dep_delay_mean_3h"):
        named(twice, "spend")


def test_a_feature_that_repeats_another_under_a_new_name_is_named_with_the_original() -> None:
    again = feature("delay_lately", view="copies", window=Window("delay_lately", "dep_delay", "mean", MEAN_3H.width))
    (sentence,) = repeats([feature(), again])
    assert "'delay_lately' of view 'copies' repeats 'origin_dep_delay_mean_3h' of view 'origin_traffic'" in sentence
    assert "esteira features show origin_dep_delay_mean_3h" in sentence


def test_a_repeat_from_fewer_tables_is_one_all_the_same() -> None:
    again = feature("delay_lately", view="copies", sources=("departures",))
    assert len(repeats([feature(), again])) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"window": Window("x", "arr_delay", "mean", MEAN_3H.width)},
        {"window": Window("x", "dep_delay", "sum", MEAN_3H.width)},
        {"window": Window("x", "dep_delay", "mean", timedelta(hours=2))},
        {"window": None},
        {"keys": ("carrier",)},
        {"sources": ("arrivals",)},
    ],
)
def test_another_column_aggregation_width_key_or_source_is_another_feature(changed: dict[str, Any]) -> None:
    assert repeats([feature(), feature("x", view="copies", **changed)]) == ()
