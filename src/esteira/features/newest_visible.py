"""The search inside the point-in-time join: numbers only, one sort of the feature rows, two binary searches.

Along the order in which rows can be seen, ``visible``, the newest event of a key seen so far is a running maximum, and
of equal events the one seen last is the one known last. So a question needs two things only: how many rows could be
seen at its moment, and the last row of its key among those. Files whose rows lie in the order they arrived
in, as appended ones do, need no sort by time.
"""

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def newest_visible(
    code: Integers, event: Integers, created: Integers, visible: Integers, asked_code: Integers, moment: Integers
) -> Integers:
    """For each of m questions (``asked_code``, ``moment``) the position of the row it sees, -1 where there is none.

    Of the rows of the same code with ``visible <= moment`` that is the one with the greatest event, then the greatest
    created, then the last. ``code``, ``event``, ``created`` and ``visible`` describe n rows; codes are 0, 1, 2, …;
    times are in one unit. Rows of equal code and event must be visible in the order of their ``created``, which
    ``max(event, created)`` and ``event`` alone both are.
    """
    rows = code.size
    if not rows:
        return np.full(asked_code.size, -1)
    order = _order_of_arrival(visible, created)
    if order is not None:
        code, event, visible = code[order], event[order], visible[order]
    # A key's rows one after the other, each as they can be seen: code and place in one number are quicker to sort.
    bits = int(rows).bit_length()
    places = np.sort((code << bits) | np.arange(rows))
    at, of_key = places & ((1 << bits) - 1), places & -(1 << bits)
    holder = at[_newest_so_far(of_key, event, at)]

    # In the order of the questions' moments both searches walk forward through memory, several times as fast.
    by_moment = np.argsort(moment)
    could_be_seen = np.searchsorted(visible, moment[by_moment], side="right")
    wanted = (asked_code[by_moment] << bits) | could_be_seen
    by_wanted = np.argsort(wanted)
    last = np.searchsorted(places, wanted[by_wanted]) - 1
    asked_key = asked_code[by_moment][by_wanted] << bits
    winner = np.where((last >= 0) & (of_key[last] == asked_key), holder[last], -1)
    found = np.empty(asked_code.size, np.int64)
    found[by_moment[by_wanted]] = winner
    return found if order is None else np.where(found < 0, -1, order[found])


def _order_of_arrival(visible: Integers, created: Integers) -> Integers | None:
    """Positions by visible, then created, then position; None where the rows lie in that order already."""
    step = visible[1:] - visible[:-1]
    if ((step > 0) | ((step == 0) & (created[1:] >= created[:-1]))).all():
        return None
    order = np.argsort(visible)
    if (visible[order[1:]] == visible[order[:-1]]).any():
        order = np.lexsort((created, visible))
    return order


def _newest_so_far(of_key: Integers, event: Integers, at: Integers) -> Integers:
    """For each place along ``at``, with keys ``of_key``, the place up to there that holds its key's newest event."""
    places = np.arange(at.size)
    along = event[at]
    if ((along[1:] >= along[:-1]) | (of_key[1:] != of_key[:-1])).all():
        return places
    # A later key's number is greater than any of an earlier key, so one running maximum serves all keys. The events
    # need no ranks where they lie so close together that key and event fit into one number.
    since = along - along.min()
    span = int(since.max()) + 1
    key = of_key >> int(at.size).bit_length()
    fits = (int(key[-1]) + 1) * span < 2**63
    newest_event = key * span + since if fits else of_key | _dense_ranks(event)[at]
    is_newest = newest_event == np.maximum.accumulate(newest_event)
    return np.maximum.accumulate(np.where(is_newest, places, 0))


def _dense_ranks(values: Integers) -> Integers:
    """The rank of each value among the distinct ones, from 0."""
    order = np.argsort(values)
    ordered = values[order]
    ranks = np.empty(values.size, np.int64)
    ranks[order[:1]] = 0
    ranks[order[1:]] = np.cumsum(ordered[1:] != ordered[:-1])
    return ranks
