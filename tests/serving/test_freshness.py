from datetime import timedelta

from esteira.contract import Freshness, utc
from esteira.serving.freshness import Shortfall, shortfalls

NOW = utc("2013-03-01T12:00:00Z")
TIMES = {
    "weather": [NOW - timedelta(hours=1), NOW - timedelta(hours=4), None],
    "traffic": [NOW, None, None],
}


def test_without_wishes_nothing_lacks() -> None:
    assert shortfalls((), TIMES, NOW, 3) == [None, None, None]


def test_a_view_lacks_when_it_is_absent_or_older_than_wanted() -> None:
    wanted = (Freshness(view="weather", oldest=timedelta(hours=3), otherwise="cached"),)
    fresh, old, absent = shortfalls(wanted, TIMES, NOW, 3)
    assert fresh is None
    assert old == Shortfall(("weather",), "cached", "weather is 4:00:00 old, and at most 3:00:00 is wanted")
    assert absent == Shortfall(("weather",), "cached", "weather has no value")


def test_the_first_consequence_that_is_not_to_answer_decides_and_all_that_lacks_is_named() -> None:
    wanted = (
        Freshness(view="weather", oldest=timedelta(hours=3), otherwise="answer"),
        Freshness(view="traffic", otherwise="refuse"),
    )
    assert shortfalls(wanted, TIMES, NOW, 3)[1] == Shortfall(("weather", "traffic"), "refuse", "traffic has no value")


def test_a_view_the_service_does_not_have_is_absent() -> None:
    assert shortfalls((Freshness(view="gone", otherwise="default"),), TIMES, NOW, 1)[0] is not None
