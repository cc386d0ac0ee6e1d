import math

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.rate_limit import RateLimit

gaps = st.lists(st.floats(0, 5), min_size=1, max_size=200)


@given(gaps, st.floats(0.1, 50))
def test_over_any_stretch_no_more_pass_than_the_rate_and_one_burst(waits: list[float], rate: float) -> None:
    limit, now, passed = RateLimit(), 0.0, []
    for gap in waits:
        now += gap
        if limit.wait("a", rate, now) == 0.0:
            passed.append(now)
    for start, first in enumerate(passed):
        for end in range(start, len(passed)):
            allowed = (passed[end] - first) * rate + rate + 1
            assert end - start + 1 <= math.ceil(allowed + 1e-6)


@given(gaps, st.floats(0.1, 50))
def test_who_waits_as_long_as_told_passes(waits: list[float], rate: float) -> None:
    limit, now = RateLimit(), 0.0
    for gap in waits:
        now += gap
        if wait := limit.wait("a", rate, now):
            now += wait
            assert limit.wait("a", rate, now) == 0.0
