from typing import Any

import pytest
from pydantic import BaseModel

from esteira.limits import ServiceLimits
from esteira.training.service_check import Expected, Observed, judge_service
from esteira.training.verdict import Verdict


class Answer(BaseModel):
    prediction: float | None
    suppressed: str | None
    release: int


def answer(prediction: Any, **more: Any) -> dict[str, Any]:
    return {"prediction": prediction, "suppressed": None, "release": 1, **more}


GOOD = Observed(
    start_seconds=9.0, latencies_ms=(4.0,) * 100, memory_mb=400.0, growth_mb=0.5, answers=(answer(0.2), answer(0.7))
)
EXPECTED = Expected(predictions=(0.2, 0.7), bounds=(0.001, 0.999))


def judged(expected: Expected = EXPECTED, causes: tuple[str, ...] = (), **changes: Any) -> Verdict:
    observed = GOOD.model_copy(update=changes)
    return judge_service(ServiceLimits(), observed, expected, contract=Answer, causes=causes)


def broken(verdict: Verdict) -> dict[str, str]:
    return {each.name: each.sentence for each in verdict.checks if not each.passed}


def test_a_service_that_keeps_every_limit_passes() -> None:
    assert judged().passed
    assert len(judged().checks) == 7


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"start_seconds": 121.0}, "start", "121.0 s; 120 are allowed"),
        ({"failure": "AlteredModel: …"}, "start", "AlteredModel"),
        ({"latencies_ms": (4.0,) * 98 + (900.0,) * 2}, "p99", "900.0 ms"),
        ({"memory_mb": 1200.0}, "memory", "1200 MB"),
        ({"growth_mb": 17.0}, "memory growth", "17.0 MB"),
        ({"answers": (answer(0.2), answer(0.7 + 2e-6))}, "equality", "1 of 2"),
        ({"answers": (answer(0.2), answer(None))}, "range", "request 1 is null"),
        ({"answers": (answer(0.2), answer(float("nan")))}, "range", "request 1 is nan"),
        ({"answers": (answer(0.2), answer(1.0))}, "range", "outside 0.001 to 0.999"),
        ({"answers": (answer(0.2), "500 an unexpected error")}, "schema", "500 an unexpected error"),
        ({"answers": (answer(0.2), answer(0.7, extra=1))}, "schema", "extra"),
        ({"answers": (answer(0.2), answer(0.7, release="one"))}, "schema", "release"),
        ({"answers": (answer(0.2),)}, "schema", "only 1 of 2"),
        ({"answers": (), "latencies_ms": ()}, "p99", "0 requests"),
    ],
)
def test_each_limit_is_kept_on_its_own(changes: dict[str, Any], check: str, words: str) -> None:
    verdict = judged(**changes)
    assert not verdict.passed
    assert words in broken(verdict)[check]


def test_a_difference_within_the_tolerance_is_none() -> None:
    assert judged(answers=(answer(0.2), answer(0.7 + 5e-7))).passed


def test_a_prediction_that_a_rule_withholds_may_be_null_and_one_that_none_does_may_not() -> None:
    withheld = Expected(predictions=(0.2, None), bounds=(0.001, 0.999))
    assert judged(withheld, answers=(answer(0.2), answer(None, suppressed="law"))).passed
    assert set(broken(judged(withheld, answers=(answer(0.2), answer(0.7))))) == {"equality"}
    assert set(broken(judged(answers=(answer(0.2), answer(None, suppressed="law"))))) == {"equality"}


def test_what_would_explain_a_difference_is_told() -> None:
    verdict = judged(causes=("The order of the classes is swapped.",), answers=(answer(0.8), answer(0.3)))
    assert "order of the classes" in broken(verdict)["equality"]
    assert "No known cause" in broken(judged(answers=(answer(0.8), answer(0.3))))["equality"]
