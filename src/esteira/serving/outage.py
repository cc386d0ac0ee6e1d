"""What a service does while its online store is out of reach: it stops asking, but for one question now and then.

Without this every request would wait for its own time-out, and requests would pile up behind a store that is gone
(the circuit breaker of M. Nygard, Release It!, 2007).
"""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from esteira.contract import FeatureRows
from esteira.errors import StoreUnreachable
from esteira.serving.following import Features

_PAUSE_SECONDS = 1.0


class Shielded:
    """Features that fail at once while their store is known to be out of reach; safe to share between threads."""

    def __init__(self, features: Features) -> None:
        """Shield ``features``."""
        self._features = features
        self._lock = threading.Lock()
        self._why: str | None = None
        self._ask_from = 0.0

    def read(self, rows: Mapping[str, Sequence[Any]], as_of: datetime) -> FeatureRows:
        """As the features read. Raises StoreUnreachable at once while they are out of reach and just were asked."""
        if self._why is not None:
            self._take_turn(self._why)
        try:
            found = self._features.read(rows, as_of)
        except StoreUnreachable as error:
            with self._lock:
                self._why, self._ask_from = str(error), time.monotonic() + _PAUSE_SECONDS
            raise
        except Exception:  # of this question, not of the store: the next one may try
            with self._lock:
                self._ask_from = 0.0
            raise
        self._why = None
        return found

    def _take_turn(self, why: str) -> None:
        """Let one of all who wait ask the store; the others are refused as it was refused."""
        with self._lock:
            if time.monotonic() < self._ask_from:
                raise StoreUnreachable(why)
            self._ask_from = float("inf")  # until this one has its answer
