from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.contract import MonitorLimits, utc
from esteira.errors import InputError
from esteira.model_card import Estimate
from esteira.monitoring.drift import Drift
from esteira.monitoring.policy import Situation, Verdict, WindowFacts, decide
from esteira.monitoring.quality import Quality

RELEASED = utc("2013-03-01")
WEEK = timedelta(days=7)
LIMITS = MonitorLimits(minimum_rows=100, window=WEEK, cool_down=timedelta(days=20))


def estimate(value: float, reach: float = 0.01) -> Estimate:
    return Estimate(value=value, low=value - reach, high=value + reach, rows=1000)


SITUATION = Situation(
    metric="log_loss",
    expected=estimate(0.40),
    model_as_of=RELEASED,
    released_at=RELEASED,
    has_earlier_release=True,
)


def window(
    week: int,
    *,
    loss: float | None = 0.40,
    bias_cost: float = 0.0,
    bias: float = 0.0,
    drift: float | None = 0.0,
    rows: int = 1000,
    baseline: float = 0.6,
) -> WindowFacts:
    """The ``week``-th week after the release; None for a figure that is not known."""
    metrics = {} if loss is None else {"log_loss": estimate(loss), "bias": estimate(bias)}
    return WindowFacts(
        start=RELEASED + week * WEEK,
        end=RELEASED + (week + 1) * WEEK,
        rows=rows,
        drift=Drift(known=drift is not None, rows=rows, score=drift or 0.0, columns=(), sentences=("It moved.",)),
        quality=Quality(
            predictions=rows,
            known=rows,
            pending=0,
            young=0,
            belated=0,
            coverage=1.0,
            metrics=metrics,
            bias_cost=bias_cost,
            baseline=baseline,
        ),
    )


def verdict(windows: Sequence[WindowFacts], at: datetime | None = None, **changes: Any) -> Verdict:
    as_of = at or max((each.end for each in windows), default=RELEASED)
    return decide(LIMITS, windows, SITUATION.model_copy(update=changes), as_of=as_of)


def test_a_release_that_does_well_is_kept() -> None:
    found = verdict([window(week) for week in range(3)])
    assert (found.action, found.sentences) == ("keep", ("No signal stands.",))
    assert found.figures["log_loss"] == 0.40
    assert found.figures["age_days"] == 21.0


@pytest.mark.parametrize("sign", [{"loss": 0.5}, {"bias": 0.1, "bias_cost": 0.06}, {"drift": 0.1}])
def test_a_signal_has_to_stand_twice_and_in_the_newest_window(sign: dict[str, float]) -> None:
    assert verdict([window(0), window(1), window(2, **sign)]).action == "watch"
    assert verdict([window(0), window(1, **sign), window(2, **sign)]).action == "retrain"
    assert verdict([window(0, **sign), window(1), window(2, **sign)]).action == "retrain"
    assert verdict([window(0, **sign), window(1, **sign), window(2)]).action == "keep"


def test_signals_of_different_kinds_do_not_add_up() -> None:
    assert verdict([window(0), window(1, loss=0.5), window(2, drift=1.0)]).action == "watch"


def test_decay_that_its_interval_does_not_prove_is_no_signal() -> None:
    assert verdict([window(0, loss=0.425), window(1, loss=0.425)]).action == "keep"


def test_a_small_bias_is_no_signal_however_certain() -> None:
    assert verdict([window(0, bias=0.05, bias_cost=0.04), window(1, bias=0.05, bias_cost=0.04)]).action == "keep"


def test_the_reasons_are_sentences_with_their_figures() -> None:
    found = verdict([window(0, loss=0.5), window(1, loss=0.5)])
    assert found.sentences[0] == (
        "In 2 of the last 2 windows, the newest included, log_loss is above 0.42, which is 5% over the released 0.4, "
        "by its whole interval."
    )
    assert Verdict.model_validate_json(found.model_dump_json()) == found


def test_quality_is_read_from_the_windows_whose_outcomes_are_due() -> None:
    assert verdict([window(0, loss=0.5), window(1, loss=0.5), window(2, loss=None)]).action == "retrain"


def test_a_small_window_is_said_to_be_unknown_and_does_not_trigger() -> None:
    found = verdict([window(0, drift=1.0), window(1, drift=1.0, rows=99)])
    assert found.action == "watch"
    assert "99 predictions, 100 are needed" in found.sentences[-1]


def test_a_window_without_traffic_is_watched() -> None:
    empty = WindowFacts(start=RELEASED, end=RELEASED + WEEK, rows=0, drift=None, quality=None)
    assert verdict([empty]).action == "watch"


def test_an_old_model_is_retrained_even_when_it_does_well() -> None:
    found = verdict([window(8)])
    assert found.action == "retrain"
    assert found.sentences == (
        "The model's data is 63.0 days old; at most 60.0 days are allowed, and from 80% of them it is trained anew.",
    )
    assert [each.matter for each in found.alarms] == ["age"]


def test_a_model_is_retrained_before_it_is_too_old_and_nobody_is_called() -> None:
    assert verdict([window(5)]).action == "keep"
    found = verdict([window(6)])
    assert (found.action, found.alarms) == ("retrain", ())
    assert found.sentences[0].startswith("The model's data is 49.0 days old")


def test_a_month_holds_no_more_requests_than_the_budget() -> None:
    bad = [window(6, loss=0.5), window(7, loss=0.5)]
    limits = replace(LIMITS, cool_down=timedelta(days=3), retrains_a_month=2)
    asked = tuple(bad[-1].end - timedelta(days=days) for days in (29, 5))

    def decided(*moments: datetime) -> Verdict:
        situation = SITUATION.model_copy(update={"retrains_requested_at": moments, "model_as_of": bad[0].start})
        return decide(limits, bad, situation, as_of=bad[-1].end)

    spent = decided(*asked)
    assert (spent.action, [each.matter for each in spent.alarms]) == ("watch", ["quality", "budget"])
    assert "2 retrains were asked for in the last 30.0 days, 2 are allowed." in spent.sentences[1]
    assert decided(asked[0] - timedelta(days=1), asked[1]).action == "retrain"


def test_what_a_person_must_look_at_is_an_alarm_whatever_the_belt_does() -> None:
    bad = [window(1, loss=0.5, bias=0.1, bias_cost=0.2, drift=0.4), window(2, loss=0.5, bias=0.1, bias_cost=0.2)]
    assert [each.matter for each in verdict(bad).alarms] == ["quality", "bias"]
    assert [each.matter for each in verdict(bad, refused_in_a_row=3).alarms] == ["quality", "bias", "refusals"]
    assert [each.severity for each in verdict([window(0, loss=0.9), window(1, loss=0.9)]).alarms] == ["critical"]
    assert verdict([window(0), window(1)]).alarms == ()


def test_after_a_request_comes_a_cool_down() -> None:
    bad = [window(1, loss=0.5), window(2, loss=0.5)]
    asked = RELEASED + timedelta(days=2)
    waiting = verdict(bad, retrains_requested_at=(asked,))
    assert waiting.action == "watch"
    assert waiting.sentences[1] == "A retrain was asked for 19.0 days ago; the next is possible 20.0 days after it."
    assert verdict(bad, retrains_requested_at=(asked - timedelta(days=1),)).action == "retrain"


def test_the_cool_down_doubles_with_each_refused_challenger_and_after_three_a_person_is_needed() -> None:
    bad = [window(6, loss=0.5), window(7, loss=0.5)]
    asked = RELEASED + timedelta(days=15)
    assert verdict(bad, retrains_requested_at=(asked,), refused_in_a_row=1, model_as_of=asked).action == "retrain"
    twice = verdict(bad, retrains_requested_at=(asked,), refused_in_a_row=2, model_as_of=asked)
    assert (twice.action, twice.sentences[1][-45:]) == ("watch", "80.0 days after it, after 2 refused in a row.")
    for asked_at in ((), (asked,)):
        stopped = verdict(bad, retrains_requested_at=asked_at, refused_in_a_row=3, model_as_of=asked)
        assert stopped.action == "watch"
        assert "the owner has to look" in stopped.sentences[1]


def test_stale_monitoring_decides_nothing() -> None:
    bad = [window(0, loss=0.5), window(1, loss=0.5)]
    found = verdict(bad, at=bad[-1].end + WEEK + timedelta(hours=1))
    assert found.action == "watch"
    assert found.sentences[0].startswith("Monitoring is stale: its newest window ended 7.0 days ago")


def test_windows_that_ended_before_the_release_say_nothing_about_it() -> None:
    bad = [window(-2, loss=0.5), window(-1, loss=0.5)]
    assert verdict(bad, at=RELEASED + timedelta(days=1)).action == "keep"


def test_the_first_moment_of_a_release_is_quiet() -> None:
    assert verdict([]).action == "keep"


def test_a_fresh_release_that_is_worse_than_knowing_nothing_is_rolled_back() -> None:
    broken = [window(0, loss=0.9), window(1, loss=0.9)]
    found = verdict(broken)
    assert found.action == "roll back"
    assert "worse than that of a constant prediction, 14.0 days after the release" in found.sentences[0]
    assert verdict(broken[:1]).action == "watch"
    assert verdict(broken, has_earlier_release=False).action == "retrain"


def test_an_old_release_that_fails_is_retrained_and_not_rolled_back() -> None:
    assert verdict([window(6, loss=0.9), window(7, loss=0.9)]).action == "retrain"


def test_a_window_of_the_future_is_refused() -> None:
    with pytest.raises(InputError, match="Give windows that are over"):
        verdict([window(0)], at=RELEASED)


weeks = st.lists(
    st.tuples(st.sampled_from([None, 0.3, 0.5, 0.9]), st.sampled_from([None, 0.0, 0.5]), st.sampled_from([5, 1000])),
    min_size=1,
    max_size=30,
)


@given(weeks, st.booleans())
def test_whatever_happens_it_asks_at_most_once_in_a_cool_down(history: list[Any], released: bool) -> None:
    asked: list[datetime] = []
    situation = SITUATION.model_copy(update={"has_earlier_release": False})
    windows: list[WindowFacts] = []
    for week, (loss, drift, rows) in enumerate(history):
        windows.append(window(week, loss=loss, drift=drift, rows=rows))
        found = decide(LIMITS, windows, situation, as_of=windows[-1].end)
        if found.action == "retrain":
            asked.append(found.as_of)
            answered = {"released_at": found.as_of, "model_as_of": found.as_of} if released else {}
            situation = situation.model_copy(update={"retrains_requested_at": tuple(asked), **answered})
    assert all(later - earlier >= LIMITS.cool_down for earlier, later in pairwise(asked))


@given(st.permutations([window(0, loss=0.5), window(1, loss=0.5), window(2, drift=0.4), window(3, drift=0.4)]))
def test_the_order_and_repetition_of_windows_decide_nothing(windows: list[WindowFacts]) -> None:
    assert verdict([*windows, *windows[:2]]) == verdict(sorted(windows, key=lambda each: each.start))
