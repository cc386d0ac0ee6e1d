"""Before anything is compared: are there rows enough, is every number a number, were the rows unseen?"""

from datetime import datetime

import numpy as np

from esteira.limits import GateLimits
from esteira.training.bootstrap import MINIMUM_DAYS, Floats
from esteira.training.evaluate import Kind
from esteira.training.verdict import Check


def sound_inputs(
    limits: GateLimits, kind: Kind, y: Floats, ours: Floats, theirs: Floats | None, days: int, baseline: float,
    allowed: tuple[float, float], trained_until: datetime, judged_from: datetime,
) -> list[Check]:  # fmt: skip
    """The checks on outcomes, predictions, baseline and split; when one fails, no figure would mean anything."""
    low, high = allowed
    sound = np.isfinite(ours) & (ours >= low) & (ours <= high)
    checks = [
        Check(
            name="enough rows",
            passed=len(y) >= limits.minimum_rows and days >= MINIMUM_DAYS,
            sentence=f"{len(y)} rows of {days} days were judged; at least {limits.minimum_rows} rows of "
            f"{MINIMUM_DAYS} days are needed.",
        ),
        Check(
            name="sound outcomes",
            passed=bool(np.isfinite(y).all()) and (kind == "regression" or set(np.unique(y)) == {0.0, 1.0}),
            sentence=f"{(~np.isfinite(y)).sum()} of {len(y)} outcomes are missing or not finite; "
            + ("both classes are needed." if kind == "binary" else "none may be."),
        ),
        Check(
            name="sound predictions",
            passed=bool(sound.all()),
            sentence=f"{(~sound).sum()} of {len(y)} challenger predictions are missing, not finite or outside "
            f"[{low:g}, {high:g}]; none may be.",
        ),
        Check(
            name="sound baseline",
            passed=bool(np.isfinite(baseline)),
            sentence=f"The constant prediction to beat is {baseline:g}; it must be a number.",
        ),
    ]
    if theirs is not None:
        wrong = int((~np.isfinite(theirs)).sum())
        checks.append(
            Check(
                name="sound champion",
                passed=wrong == 0,
                sentence=f"{wrong} of {len(y)} champion predictions are missing or not finite; none may be.",
            )
        )
    checks.append(
        Check(
            name="unseen rows",
            passed=trained_until < judged_from,
            sentence=f"The challenger was trained on rows until {trained_until.isoformat()} and judged on rows from "
            f"{judged_from.isoformat()}; none may be seen in training.",
        )
    )
    return checks


def within_resources(limits: GateLimits, one_row_ms: float | None, size_bytes: int | None) -> list[Check]:
    """The checks on speed and size that are declared; what was not measured does not keep its limit."""
    checks = []
    if limits.most_one_row_ms is not None:
        measured = "an unknown time" if one_row_ms is None else f"{one_row_ms:.2f} ms"
        checks.append(
            Check(
                name="latency",
                passed=one_row_ms is not None and 0 <= one_row_ms <= limits.most_one_row_ms,
                sentence=f"The challenger takes {measured} over one row (median); at most "
                f"{limits.most_one_row_ms:g} ms are allowed.",
            )
        )
    if limits.most_bytes is not None:
        measured = "an unknown size" if size_bytes is None else f"{size_bytes:,} bytes"
        checks.append(
            Check(
                name="size",
                passed=size_bytes is not None and 0 < size_bytes <= limits.most_bytes,
                sentence=f"The challenger's files have {measured}; at most {limits.most_bytes:,} are allowed.",
            )
        )
    return checks
