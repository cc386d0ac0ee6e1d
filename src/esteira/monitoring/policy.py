"""What to do about the live release: keep it, watch it, retrain, or roll back. A pure decision, with its reasons.

A retrain is asked for when a signal stands: quality decayed, predictions biased, or inputs drifted, in enough of the
recent windows and in the newest one that could be judged; or when most of the model's allowed age is over. After a
request comes a cool-down, which doubles with each challenger that was refused since the last release: data that did
not help once will hardly help tomorrow. After three refusals nothing is asked for until a person has looked and
released. Thirty days hold no more requests than the budget, whatever swings to and fro. A fresh release that is worse
than knowing nothing is rolled back.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from esteira.contract import MonitorLimits
from esteira.errors import InputError
from esteira.model_card import Estimate, Frozen
from esteira.monitoring.drift import DRIFT_LIMIT, Drift
from esteira.monitoring.quality import Quality

_REFUSALS_TO_STOP = 3
_MONTH = timedelta(days=30)
_AGE_TO_RETRAIN = 0.8
"""The share of its allowed age at which a model is trained anew, so that there is time left for a second try."""


class WindowFacts(Frozen):
    """What was found in one window of the live release's predictions."""

    start: datetime
    end: datetime
    rows: int
    """Predictions made in the window."""
    drift: Drift | None
    """None when the window had no predictions."""
    quality: Quality | None
    """None when the window had no predictions; without metrics while outcomes are due."""


class Situation(Frozen):
    """The live release, and what was asked for before."""

    metric: str
    """The primary metric, lower is better."""
    expected: Estimate
    """The metric as measured when the model was released."""
    model_as_of: datetime
    """Nothing newer is in the model."""
    released_at: datetime
    has_earlier_release: bool
    retrains_requested_at: tuple[datetime, ...] = ()
    refused_in_a_row: int = 0
    """Challengers refused since the last release."""


Action = Literal["keep", "watch", "retrain", "roll back"]
Matter = Literal["age", "bias", "budget", "drift", "quality", "refusals", "rollback", "skew", "staleness"]


class Alarm(Frozen):
    """What a person must look at, whatever the belt does itself."""

    matter: Matter
    severity: Literal["warning", "critical"]
    sentence: str


class Verdict(Frozen):
    """The decision, the sentences that led to it, and the figures behind them."""

    action: Action
    as_of: datetime
    sentences: tuple[str, ...]
    figures: dict[str, float] = Field(default_factory=dict)
    alarms: tuple[Alarm, ...] = ()


Signal = Callable[[WindowFacts], bool | None]


def decide(limits: MonitorLimits, windows: Sequence[WindowFacts], situation: Situation, *, as_of: datetime) -> Verdict:
    """Decide what to do about the live release at ``as_of``.

    Args:
        limits: of the use case.
        windows: in any order; a window given twice counts once, windows that ended before the release not at all.
        situation: the live release.
        as_of: the moment of the decision.

    Returns:
        *retrain* only when monitoring is fresh, a signal stands and the cool-down is over; *watch* when there is a
        sign but no ground to act; *keep* otherwise.

    Raises:
        InputError: a window ends after ``as_of``.
    """
    every = sorted({(each.start, each.end): each for each in windows}.values(), key=lambda each: each.end)
    if every and every[-1].end > as_of:
        raise InputError(
            f"A window ends at {every[-1].end.isoformat()}, after as_of {as_of.isoformat()}. "
            "Give windows that are over."
        )
    if stale := _staleness(limits, every, as_of):
        return _verdict("watch", as_of, [Alarm(matter="staleness", severity="critical", sentence=stale)])
    recent = [each for each in every if each.end > situation.released_at]
    figures = _figures(recent, situation, as_of)
    if broken := _broken(limits, recent, situation, as_of):
        return _verdict("roll back", as_of, [Alarm(matter="rollback", severity="critical", sentence=broken)], **figures)
    causes, signs = _read_signals(limits, recent, situation, as_of)
    if (share := (as_of - situation.model_as_of) / limits.maximum_age) > _AGE_TO_RETRAIN:
        old = (
            f"The model's data is {_days(as_of - situation.model_as_of)} old; at most {_days(limits.maximum_age)} are "
            f"allowed, and from {_AGE_TO_RETRAIN:.0%} of them it is trained anew."
        )
        causes.append(Alarm(matter="age", severity="warning", sentence=old))
    alarms = [each for each in causes if each.matter != "age" or share > 1]
    told = [each.sentence for each in causes]
    if any(each.matter == "drift" for each in causes) and (drift := _newest_drift(recent)):
        told.extend(drift.sentences[1:4])
    if not causes:
        return _verdict("watch" if signs else "keep", as_of, [], *signs, **figures)
    if stopped := _stop(limits, situation, as_of):
        return _verdict("watch", as_of, [*alarms, stopped], *told, stopped.sentence, *signs, **figures)
    if waiting := _cool_down(limits, situation, as_of):
        return _verdict("watch", as_of, alarms, *told, waiting, *signs, **figures)
    return _verdict("retrain", as_of, alarms, *told, *signs, **figures)


def _verdict(action: Action, as_of: datetime, alarms: Sequence[Alarm], *sentences: str, **figures: float) -> Verdict:
    """The verdict in these sentences; without any, in those of the alarms."""
    told = sentences or tuple(each.sentence for each in alarms) or ("No signal stands.",)
    return Verdict(action=action, as_of=as_of, sentences=told, figures=figures, alarms=tuple(alarms))


def _read_signals(
    limits: MonitorLimits, windows: Sequence[WindowFacts], situation: Situation, as_of: datetime
) -> tuple[list[Alarm], list[str]]:
    """The causes for a retrain, and the signs that are not enough for one."""
    tolerated = situation.expected.value + abs(situation.expected.value) * limits.tolerated_decay
    signals: dict[Matter, tuple[str, Signal]] = {
        "quality": (
            f"{situation.metric} is above {tolerated:.4g}, which is {limits.tolerated_decay:.0%} over the released "
            f"{situation.expected.value:.4g}, by its whole interval",
            lambda each: _decayed(each, situation, tolerated),
        ),
        "bias": (
            f"predictions are biased by more than {limits.tolerated_decay:.0%} of the squared error",
            lambda each: _biased(each, limits),
        ),
        "drift": (
            f"columns with at least {DRIFT_LIMIT:.0%} of the importance moved",
            lambda each: _drifted(each, limits),
        ),
    }
    causes: list[Alarm] = []
    signs: list[str] = []
    for matter, (name, signal) in signals.items():
        judged = _judged(limits, windows, as_of, signal)
        standing = sum(judged)
        if not judged or not judged[-1]:
            continue
        sentence = f"In {standing} of the last {len(judged)} windows, the newest included, {name}."
        if standing >= limits.windows_needed:
            causes.append(Alarm(matter=matter, severity="warning", sentence=sentence))
        else:
            signs.append(sentence)
    small = [each for each in windows[-1:] if each.rows < limits.minimum_rows]
    signs.extend(
        f"Drift is unknown in the newest window: {each.rows} predictions, {limits.minimum_rows} are needed."
        for each in small
    )
    return causes, signs


def _judged(limits: MonitorLimits, windows: Sequence[WindowFacts], as_of: datetime, signal: Signal) -> list[bool]:
    """Where the signal stands in the newest windows that could be judged, oldest first; too old ones do not count."""
    oldest = as_of - limits.outcome_maturity - (limits.windows + 1) * limits.window
    found = [signal(each) for each in windows if each.end >= oldest]
    return [each for each in found if each is not None][-limits.windows :]


def _decayed(window: WindowFacts, situation: Situation, tolerated: float) -> bool | None:
    found = _metric(window, situation.metric)
    return None if found is None else found.low > tolerated


def _biased(window: WindowFacts, limits: MonitorLimits) -> bool | None:
    bias = _metric(window, "bias")
    if bias is None or window.quality is None or window.quality.bias_cost is None:
        return None
    return (bias.low > 0 or bias.high < 0) and window.quality.bias_cost > limits.tolerated_decay


def _drifted(window: WindowFacts, limits: MonitorLimits) -> bool | None:
    if window.drift is None or not window.drift.known or window.rows < limits.minimum_rows:
        return None
    return window.drift.score >= DRIFT_LIMIT


def _broken(limits: MonitorLimits, windows: Sequence[WindowFacts], situation: Situation, as_of: datetime) -> str | None:
    """Why a fresh release is to be undone, if it is: an old model decays, a new one that fails at once is broken."""
    fresh = limits.outcome_maturity + (limits.windows + 1) * limits.window
    if not situation.has_earlier_release or as_of - situation.released_at > fresh:
        return None

    def worse_than_nothing(window: WindowFacts) -> bool | None:
        found = _metric(window, situation.metric)
        baseline = window.quality.baseline if window.quality else None
        return None if found is None or baseline is None else found.low > baseline

    judged = _judged(limits, windows, as_of, worse_than_nothing)
    if not judged or not judged[-1] or sum(judged) < limits.windows_needed:
        return None
    return (
        f"In {sum(judged)} of the last {len(judged)} windows, the newest included, {situation.metric} was worse than "
        f"that of a constant prediction, {_days(as_of - situation.released_at)} after the release."
    )


def _staleness(limits: MonitorLimits, windows: Sequence[WindowFacts], as_of: datetime) -> str | None:
    if not windows or as_of - windows[-1].end <= limits.window:
        return None
    newest = windows[-1]
    return (
        f"Monitoring is stale: its newest window ended {_days(as_of - newest.end)} ago, at {newest.end.isoformat()}. "
        "Nothing is decided from it; run the monitor for the windows since then."
    )


def _stop(limits: MonitorLimits, situation: Situation, as_of: datetime) -> Alarm | None:
    """Why no more retrains are asked for until somebody looks, or time passes."""
    if (refused := situation.refused_in_a_row) >= _REFUSALS_TO_STOP:
        sentence = (
            f"{refused} challengers in a row were refused. No more retrains are asked for until something is released; "
            "the owner has to look at why, starting with the gate's verdicts."
        )
        return Alarm(matter="refusals", severity="critical", sentence=sentence)
    asked = [each for each in situation.retrains_requested_at if as_of - each < _MONTH]
    if len(asked) >= limits.retrains_a_month:
        sentence = (
            f"The budget is spent: {len(asked)} retrains were asked for in the last {_days(_MONTH)}, "
            f"{limits.retrains_a_month} are allowed. The next is possible on {min(asked) + _MONTH:%Y-%m-%d}."
        )
        return Alarm(matter="budget", severity="warning", sentence=sentence)
    return None


def _cool_down(limits: MonitorLimits, situation: Situation, as_of: datetime) -> str | None:
    if not situation.retrains_requested_at:
        return None
    refused = situation.refused_in_a_row
    wait = limits.cool_down * 2**refused
    since = as_of - max(situation.retrains_requested_at)
    if since >= wait:
        return None
    doubled = f", after {refused} refused in a row" if refused else ""
    return f"A retrain was asked for {_days(since)} ago; the next is possible {_days(wait)} after it{doubled}."


def _figures(windows: Sequence[WindowFacts], situation: Situation, as_of: datetime) -> dict[str, float]:
    figures = {"age_days": (as_of - situation.model_as_of) / timedelta(days=1)}
    if drift := _newest_drift(windows):
        figures["drift_score"] = drift.score
    for window in windows:
        if (found := _metric(window, situation.metric)) and (bias := _metric(window, "bias")):
            figures |= {situation.metric: found.value, "bias": bias.value}
    return figures


def _newest_drift(windows: Sequence[WindowFacts]) -> Drift | None:
    known = [each.drift for each in windows if each.drift is not None and each.drift.known]
    return known[-1] if known else None


def _metric(window: WindowFacts, name: str) -> Estimate | None:
    return window.quality.metrics.get(name) if window.quality else None


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f} days"
