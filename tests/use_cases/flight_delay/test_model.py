"""The candidates: they learn from untransformed columns, missing values and words included, and do so repeatably."""

import numpy as np
import pandas as pd
import pytest

from esteira.contract import Candidate
from esteira.use_cases.flight_delay.model import CANDIDATES


def learnable() -> tuple[pd.DataFrame, "pd.Series[float]"]:
    random = np.random.default_rng(2013)
    delay = random.normal(size=600)
    origin = random.choice(np.array(["EWR", "JFK", None], dtype=object), 600)
    late = (delay + (origin == "JFK") + random.normal(scale=0.5, size=600) > 0.5).astype(float)
    delay[::7] = np.nan
    return pd.DataFrame({"delay": delay, "origin": origin}), pd.Series(late)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_candidate_learns_and_gives_the_same_predictions_for_the_same_seed(candidate: Candidate) -> None:
    frame, late = learnable()
    parameters = {
        **candidate.parameters,
        **({"trees": 60, "smallest_leaf": 1.0} if "trees" in candidate.parameters else {}),
    }
    first, second = (
        candidate.build(seed=7, threads=1, device="cpu", **parameters).fit(frame, late).predict_proba(frame)[:, 1]
        for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert first[late == 1].mean() > first[late == 0].mean() + 0.15


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_word_never_seen_is_taken_as_missing(candidate: Candidate) -> None:
    frame, late = learnable()
    pipeline = candidate.build(seed=7, threads=1, device="cpu", **candidate.parameters).fit(frame, late)
    odd = pd.DataFrame({"delay": [0.0], "origin": pd.Series(["XXX"], dtype=object)})
    assert 0 < pipeline.predict_proba(odd)[0, 1] < 1
