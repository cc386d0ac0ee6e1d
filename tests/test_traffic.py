import pytest
from pydantic import ValidationError

from esteira.serving.following import Contender, Serving
from esteira.serving.predictor import Predictor
from esteira.traffic import CHALLENGER, Traffic
from tests.serving.models import card, xgboost_pipeline
from tests.serving.test_following import Named, NoFeatures

ENTITIES = [f"2013-03-01-UA{number}-EWR-IAH" for number in range(20_000)]
PREDICTOR = Predictor(card(), xgboost_pipeline())


def split(share: float, challenger: str = "m2") -> Traffic:
    return Traffic(mode="split", challenger=challenger, card_sha256="", share=share)


def serving(traffic: Traffic, *, loaded: bool = True) -> Serving:
    beside = Serving(Contender(1, "m2", "flight_delay_v1"), PREDICTOR, NoFeatures(), role=CHALLENGER)
    return Serving(Named(1), PREDICTOR, NoFeatures(), traffic=traffic, challenger=beside if loaded else None)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_challenger_has_its_share_of_entities(share: float) -> None:
    count = sum(map(split(share).is_challengers, ENTITIES))
    # Five standard deviations of a fair draw.
    assert count / len(ENTITIES) == pytest.approx(share, abs=5 * (share * (1 - share) / len(ENTITIES)) ** 0.5)


def test_an_entity_stays_with_the_challenger_when_its_share_is_raised() -> None:
    small, large = ([each for each in ENTITIES if split(share).is_challengers(each)] for share in (0.1, 0.3))
    assert set(small) < set(large)


def test_another_challenger_divides_the_entities_anew() -> None:
    both = [each for each in ENTITIES if split(0.5).is_challengers(each) and split(0.5, "m3").is_challengers(each)]
    assert len(both) / len(ENTITIES) == pytest.approx(0.25, abs=0.02)


def test_places_of_a_request_go_to_who_answers_them() -> None:
    (champion, its), (challenger, others) = serving(split(0.5)).arms(ENTITIES[:50])
    assert (champion.role, challenger.role) == ("champion", "challenger")
    assert sorted(its + others) == list(range(50))
    assert others == [place for place in range(50) if split(0.5).is_challengers(ENTITIES[place])]


def test_without_a_challenger_that_could_be_loaded_the_champion_answers_everything() -> None:
    for one in (
        serving(split(0.5), loaded=False),
        serving(Traffic(mode="shadow", challenger="m2", card_sha256="", share=0)),
    ):
        ((arm, places),) = one.arms(ENTITIES[:50])
        assert arm is one
        assert places == list(range(50))


def test_a_challenger_is_asked_in_the_shadow_only_when_traffic_says_so() -> None:
    assert serving(split(0.5)).shadow is None
    assert serving(Traffic(mode="shadow", challenger="m2", card_sha256="", share=0)).shadow is not None


def test_a_share_of_everything_is_no_split() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        split(1.0)
