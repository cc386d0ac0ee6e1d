"""How many requests a second somebody may make: a leaky bucket that is one number a caller.

The generic cell rate algorithm (ITU-T I.371): a request moves the caller's next due moment on by 1/rate; who is more
than a second ahead of time must wait. So a caller may send a second's worth at once, and over time no more than that.
"""

_BURST_SECONDS = 1.0


class RateLimit:
    """The callers of one process; they are few, because each is a key that exists."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def wait(self, caller: str, rate: float, now: float) -> float:
        """Seconds until ``caller`` may ask again; 0 when it may now, and then it counts as asked.

        ``rate`` is in requests a second, ``now`` in seconds of a clock that never goes back.

        >>> limit = RateLimit()
        >>> [limit.wait("a", 2.0, 10.0) for _ in range(4)]
        [0.0, 0.0, 0.0, 0.5]
        >>> limit.wait("a", 2.0, 10.5), limit.wait("b", 2.0, 10.5)
        (0.0, 0.0)
        """
        due = max(self._due.get(caller, now), now)
        early = due - now - _BURST_SECONDS
        if early > 1e-9:
            return early
        self._due[caller] = due + 1 / rate
        return 0.0
