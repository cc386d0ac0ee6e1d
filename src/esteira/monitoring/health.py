"""Whether a fresh release is well: a pure rule over what was seen of it within its watch window.

It looks for what is broken at once, by limits far from anything usual; slow decay is the policy's (policy.py).
"""

from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from esteira.limits import HealthLimits
from esteira.model_card import Estimate, Frozen
from esteira.monitoring.quality import judge_quality
from esteira.rules import BOUNDS


class Seen(Frozen):
    """What was seen of one release since it went live. What was not looked at is None or zero, and is not judged."""

    requests: int = 0
    """Requests its service replied to."""
    errors: int = 0
    """Those it failed on by its own fault: status 500 and above."""
    slow_seconds: float | None = None
    """The time within which 99 of 100 requests were answered."""
    predictions: int = 0
    clipped: int = 0
    """Predictions that the model made outside the bounds of the release."""
    mean_prediction: float | None = None
    usual_mean: float | None = None
    """The constant that predicted best on the training rows."""
    metric: str = ""
    quality: Estimate | None = None
    """The primary metric on the outcomes known so far; lower is better."""
    released_quality: Estimate | None = None
    """The same as measured when the model was released."""
    bias: Estimate | None = None
    """Prediction less outcome, in the outcome's unit."""
    outcomes: int = 0


def ailments(limits: HealthLimits, seen: Seen, *, released_at: datetime, as_of: datetime) -> tuple[str, ...]:
    """What is wrong with a release at ``as_of``, a sentence each; none when it is well, or watched long enough.

    >>> from esteira.contract import utc
    >>> at = utc("2013-03-01T12:00:00Z")
    >>> ailments(HealthLimits(), Seen(requests=200, errors=20), released_at=utc("2013-03-01"), as_of=at)
    ('20 of 200 requests failed (10.0%); at most 2.0% may.',)
    """
    if not timedelta() <= as_of - released_at <= limits.watch:
        return ()
    found = (*_service(limits, seen), *_answers(limits, seen), *_outcomes(limits, seen))
    return tuple(sentence for is_broken, sentence in found if is_broken)


def _service(limits: HealthLimits, seen: Seen) -> tuple[tuple[bool, str], ...]:
    if seen.requests < limits.minimum_requests:
        return ()
    rate = seen.errors / seen.requests
    slow = seen.slow_seconds or 0.0
    return (
        (
            rate > limits.most_errors,
            f"{seen.errors:,} of {seen.requests:,} requests failed ({rate:.1%}); at most {limits.most_errors:.1%} may.",
        ),
        (
            slow > limits.most_seconds,
            f"One of a hundred of {seen.requests:,} requests took more than {slow:g} s; {limits.most_seconds:g} s are "
            "allowed.",
        ),
    )


def _answers(limits: HealthLimits, seen: Seen) -> tuple[tuple[bool, str], ...]:
    if seen.predictions < limits.minimum_requests:
        return ()
    share = seen.clipped / seen.predictions
    clipped = (
        share > limits.most_clipped,
        f"{seen.clipped:,} of {seen.predictions:,} predictions lay outside the bounds of the release ({share:.1%}); at "
        f"most {limits.most_clipped:.1%} may.",
    )
    mean, usual = seen.mean_prediction, seen.usual_mean
    if mean is None or usual is None or usual <= 0:
        return (clipped,)
    low, high = usual / limits.most_shift, usual * limits.most_shift
    shifted = (
        not low <= mean <= high,
        f"The mean of {seen.predictions:,} predictions is {mean:.4g}; {low:.4g} to {high:.4g} would be usual.",
    )
    return clipped, shifted


def _outcomes(limits: HealthLimits, seen: Seen) -> tuple[tuple[bool, str], ...]:
    if seen.outcomes < limits.minimum_requests:
        return ()
    found = []
    if seen.quality is not None and seen.released_quality is not None:
        most = seen.released_quality.high + abs(seen.released_quality.value) * limits.most_decay
        found.append(
            (
                seen.quality.low > most,
                f"On {seen.outcomes:,} outcomes {seen.metric} is {seen.quality.value:.4g}, by its whole interval above "
                f"{most:.4g}, which is {limits.most_decay:.0%} beyond what it had when released.",
            )
        )
    if seen.bias is not None and seen.usual_mean:
        most = abs(seen.usual_mean) * limits.most_bias
        found.append(
            (
                seen.bias.low > most or seen.bias.high < -most,
                f"On {seen.outcomes:,} outcomes predictions are biased by {seen.bias.value:+.4g}, by their whole "
                f"interval more than {most:.4g}.",
            )
        )
    return tuple(found)


def seen_in(
    joined: pl.DataFrame,
    kind: Literal["binary", "regression"],
    *,
    metric: str,
    released: Estimate | None,
    usual: float | None,
) -> Seen:
    """What predictions joined with their outcomes (see ``join_outcomes``) tell of a release.

    ``released`` is the metric as measured when it was released, ``usual`` the constant that predicted best then.
    """
    if not joined.height:
        return Seen()
    quality = judge_quality(joined, kind)
    # Post-processing writes down each change; the first word of a change names the rule.
    clipped = joined["changes"].str.contains(f'"rule": ?"{BOUNDS}"').sum()
    return Seen(
        predictions=joined.height,
        clipped=int(clipped),
        mean_prediction=float(joined["prediction"].mean()),  # type: ignore[arg-type]  # there are rows
        usual_mean=usual,
        metric=metric,
        quality=quality.metrics.get(metric),
        released_quality=released,
        bias=quality.metrics.get("bias"),
        outcomes=quality.known,
    )
