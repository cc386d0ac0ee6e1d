from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from esteira.contract import utc
from esteira.limits import HealthLimits
from esteira.model_card import Estimate
from esteira.monitoring.health import Seen, ailments, seen_in
from esteira.monitoring.outcomes import KNOWN, YOUNG

RELEASED = utc("2013-03-01")
LIMITS = HealthLimits()


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, rows=500)


WELL = Seen(
    requests=1_000, errors=2, slow_seconds=0.05, predictions=1_000, clipped=1, mean_prediction=0.24, usual_mean=0.2,
    metric="log_loss", quality=estimate(0.5, 0.02), released_quality=estimate(0.46, 0.02), bias=estimate(0.02, 0.01),
    outcomes=500,
)  # fmt: skip


def told(after: timedelta = timedelta(hours=3), **changes: Any) -> tuple[str, ...]:
    return ailments(LIMITS, WELL.model_copy(update=changes), released_at=RELEASED, as_of=RELEASED + after)


def test_a_release_within_all_limits_is_well() -> None:
    assert told() == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"errors": 21}, "21 of 1,000 requests failed"),
        ({"slow_seconds": 2.5}, "took more than 2.5 s"),
        ({"clipped": 60}, "60 of 1,000 predictions lay outside the bounds"),
        ({"mean_prediction": 0.61}, "The mean of 1,000 predictions is 0.61"),
        ({"mean_prediction": 0.06}, "The mean of 1,000 predictions is 0.06"),
        ({"quality": estimate(0.8, 0.05)}, "log_loss is 0.8"),
        ({"bias": estimate(0.2, 0.05)}, "biased by +0.2"),
        ({"bias": estimate(-0.2, 0.05)}, "biased by -0.2"),
    ],
)
def test_each_limit_is_broken_on_its_own(changes: dict[str, Any], words: str) -> None:
    (sentence,) = told(**changes)
    assert words in sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"errors": 20},
        {"quality": estimate(0.7, 0.2)},
        {"bias": estimate(0.2, 0.15)},
        {"requests": 99, "errors": 99},
        {"predictions": 99, "clipped": 99, "mean_prediction": 1.0},
        {"outcomes": 99, "quality": estimate(2.0, 0.01), "bias": estimate(0.5, 0.01)},
    ],
)
def test_what_is_at_a_limit_uncertain_or_small_is_not_broken(changes: dict[str, Any]) -> None:
    assert told(**changes) == ()


def test_after_its_watch_window_a_release_is_the_policys() -> None:
    assert told(after=LIMITS.watch, errors=500) != ()
    assert told(after=LIMITS.watch + timedelta(seconds=1), errors=500) == ()
    assert told(after=timedelta(hours=-1), errors=500) == ()


def test_what_was_served_is_seen_with_its_clipped_answers_and_known_outcomes() -> None:
    clipped = '[{"rule": "bounds", "what": "prediction", "before": 1.0, "after": 0.999, "reason": "r"}]'
    days = [RELEASED + timedelta(hours=n) for n in range(72)]
    joined = pl.DataFrame(
        {
            "prediction": [0.999 if n % 9 == 0 else 0.9 for n in range(72)],
            "outcome": [None if n >= 66 else float(n % 5 == 0) for n in range(72)],
            "status": [YOUNG if n >= 66 else KNOWN for n in range(72)],
            "as_of": days,
            "changes": [clipped if n % 9 == 0 else '[{"rule":"floor"}]' for n in range(71)]
            + [clipped.replace(": ", ":")],
        }
    )
    seen = seen_in(joined, "binary", metric="log_loss", released=estimate(0.46, 0.02), usual=0.2)
    assert (seen.predictions, seen.clipped, seen.outcomes) == (72, 9, 66)
    assert seen.mean_prediction == pytest.approx(0.911, abs=0.001)
    told = ailments(HealthLimits(minimum_requests=50), seen, released_at=RELEASED, as_of=days[-1])
    assert [words in each for words, each in zip(("outside", "mean", "log_loss", "biased"), told, strict=True)] == [
        True
    ] * 4
    assert seen_in(joined.clear(), "binary", metric="log_loss", released=None, usual=None) == Seen()
