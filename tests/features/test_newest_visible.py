"""The search on plain numbers: what it finds does not depend on how the rows lie."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esteira.features.newest_visible import newest_visible

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 6), st.integers(-3, 9)), max_size=30)
questions = st.lists(st.tuples(st.integers(-1, 4), st.integers(-4, 10)), max_size=15)


def search(history: list[tuple[int, int, int]], asked: list[tuple[int, int]]) -> list[int]:
    code, event, created = np.array(history, np.int64).reshape(-1, 3).T
    asked_code, moment = np.array(asked, np.int64).reshape(-1, 2).T
    return newest_visible(code, event, created, np.maximum(event, created), asked_code, moment).tolist()


def test_a_question_sees_the_newest_event_of_its_own_key() -> None:
    history = [(0, 1, 2), (1, 1, 1), (0, 5, 6), (0, 3, 7)]
    assert search(history, [(0, 1), (0, 2), (0, 6), (0, 9), (1, 9), (2, 9), (-1, 9)]) == [-1, 0, 2, 2, 1, -1, -1]


def test_of_equal_events_the_last_known_is_seen_and_of_equal_rows_the_last_stored() -> None:
    assert search([(0, 4, 9), (0, 4, 5), (0, 4, 9)], [(0, 8), (0, 9)]) == [1, 2]


def test_events_too_far_apart_for_one_number_with_their_key_are_ranked() -> None:
    far = 2**61
    history = [(3, 0, 9), (3, far, far), (3, 5, far + 1), (9, 7, far + 2), (9, 7, far + 3), (9, 1, far + 4)]
    asked = [(3, 9), (3, far), (3, far + 9), (9, far + 2), (9, far + 9), (8, far + 9)]
    assert search(history, asked) == [0, 1, 1, 3, 4, -1]


def test_nothing_known_answers_nobody() -> None:
    assert search([], [(0, 1), (1, 2)]) == [-1, -1]


@settings(max_examples=300, deadline=None)
@given(history=rows, asked=questions, lies=st.sampled_from(["as given", "as it arrived", "by event", "by key"]))
def test_however_the_rows_lie_the_answer_is_the_one_of_the_rule(
    history: list[tuple[int, int, int]], asked: list[tuple[int, int]], lies: str
) -> None:
    if lies == "as it arrived":
        history = sorted(history, key=lambda row: (max(row[1:]), row[2]))
    elif lies != "as given":
        history = sorted(history, key=lambda row: row[1] if lies == "by event" else row[0])
    expected = []
    for code, moment in asked:
        seen = [(row[1], row[2], at) for at, row in enumerate(history) if row[0] == code and max(row[1:]) <= moment]
        expected.append(max(seen)[2] if seen else -1)
    assert search(history, asked) == expected
