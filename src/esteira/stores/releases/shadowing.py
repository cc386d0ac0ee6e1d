"""Ask a challenger what the champion was asked, after the champion has answered, and log what it says.

One thread does this with whatever has come together since its last turn, some rows at a time: the callers' requests
run in the same interpreter, and must never wait for more than one such piece. What does not fit the queue is dropped
and counted; what fails is counted and told in health. Nothing of it reaches a caller.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from esteira.contract import FeatureRows
from esteira.errors import EsteiraError, InvalidRequest
from esteira.serving.following import Serving
from esteira.serving.measures import measures
from esteira.stores.answers.prediction_log import LoggedAnswers, PredictionLog
from esteira.traffic import SHADOW

_MOST_WAITING = 20_000
"""Predictions; some tens of megabytes, and more than a thread that keeps up ever has."""
_PIECE = 4
"""Predictions at a time: about a millisecond, and a request that comes in meanwhile waits for no longer."""
_EVERY_SECONDS = 0.1
_BREATH_SECONDS = 0.002
_log = logging.getLogger("esteira.serving")
_NOTHING_READ = FeatureRows(values={}, event_times={}, created_times={})


class Shadow:
    """The challenger's place behind the champion in this process; safe to share between threads."""

    def __init__(self, open_log: Callable[[], PredictionLog]) -> None:
        """Prepare; ``open_log`` is called when there is something to log for the first time."""
        self.trouble: str | None = None
        """Why the challenger's last answers failed, until some succeed."""
        self._open_log = open_log
        self._log: PredictionLog | None = None
        self._queue: deque[tuple[Serving, LoggedAnswers]] = deque()
        self._waiting = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)

    def start(self) -> None:
        """Work until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the piece under way; what waits is dropped."""
        self._stopped.set()
        self._thread.join()
        if self._log is not None:
            self._log.close()

    def offer(self, challenger: Serving, answered: LoggedAnswers) -> None:
        """Have ``challenger`` asked what the champion has answered; returns at once."""
        with self._lock:
            taken = self._waiting + len(answered) <= _MOST_WAITING
            if taken:
                self._queue.append((challenger, answered))
                self._waiting += len(answered)
        if not taken:
            measures().shadowed("dropped", len(answered))

    def _work(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            while not self._stopped.is_set() and (piece := self._next_piece()) is not None:
                self._ask(*piece)
                self._stopped.wait(_BREATH_SECONDS)

    def _next_piece(self) -> tuple[Serving, list[LoggedAnswers]] | None:
        """Some requests for one challenger, together about as many predictions as one piece has."""
        with self._lock:
            if not self._queue:
                return None
            challenger, count, piece = self._queue[0][0], 0, []
            while self._queue and self._queue[0][0] is challenger and count < _PIECE:
                piece.append(self._queue.popleft()[1])
                count += len(piece[-1])
            self._waiting -= count
        return challenger, piece

    def _ask(self, challenger: Serving, piece: Sequence[LoggedAnswers]) -> None:
        askable = [(each, _askable(challenger, each)) for each in piece]
        unheard = sum(len(unknown) for _, (_, unknown) in askable)
        asked = [each if len(known) == len(each) else each.only(known) for each, (known, _) in askable if known]
        try:
            if unheard:
                measures().shadowed("failed", unheard)
                self._report(challenger, "it has never heard of an entity's value")
            if asked:
                self._log = self._log or self._open_log()
                for written in [self._log.write(said) for said in answers(challenger, asked)]:
                    written.result()
                measures().shadowed("logged", sum(map(len, asked)))
                self.trouble = self.trouble if unheard else None
        except Exception as error:  # noqa: BLE001 - whatever a challenger does, callers see nothing of it
            measures().shadowed("failed", sum(map(len, asked)))
            # Another's words may repeat what a caller sent.
            self._report(challenger, str(error) if isinstance(error, EsteiraError) else type(error).__name__)

    def _report(self, challenger: Serving, why: str) -> None:
        trouble = f"The challenger {challenger.release.model_version} fails in the shadow: {why}."
        if self.trouble is None:
            _log.error(trouble)
        self.trouble = trouble


def _askable(challenger: Serving, answered: LoggedAnswers) -> tuple[list[int], list[int]]:
    """The places which the champion computed: those of known and those of unknown values.

    Answers from a batch are left out: they were made by the champion, for its own releases only.
    """
    computed = [place for place in answered.read if answered.source[place] == "computed"]
    try:
        challenger.predictor.require_known(answered.inputs)
    except InvalidRequest:
        known = [place for place in computed if _is_known(challenger, answered, place)]
        return known, sorted({*computed} - {*known})
    return computed, []


def _is_known(challenger: Serving, answered: LoggedAnswers, place: int) -> bool:
    try:
        challenger.predictor.require_known({name: [values[place]] for name, values in answered.inputs.items()})
    except InvalidRequest:
        return False
    return True


def answers(challenger: Serving, asked: Sequence[LoggedAnswers]) -> list[LoggedAnswers]:
    """What ``challenger`` says to questions that the champion computed, as it is logged: one line for each request.

    With the champion's feature service the challenger is given the very values the champion had, and only they say
    what it saw; otherwise its own are read as of the same moment, and logged. Raises ModelError, FeatureError.
    """
    read = [_NOTHING_READ] * len(asked)
    values: Sequence[Mapping[str, Sequence[Any]]] = [each.features for each in asked]
    if any(each.feature_service != challenger.release.feature_service for each in asked):
        read = [challenger.features.read(each.inputs, each.as_of[0]) for each in asked]
        values = [each.values for each in read]
    together = {name: list(chain.from_iterable(each[name] for each in values)) for name in challenger.predictor.names}
    outputs = iter(challenger.predictor.output(together).tolist())
    return [
        _logged(challenger, each, [next(outputs) for _ in range(len(each))], found)
        for each, found in zip(asked, read, strict=True)
    ]


def _logged(challenger: Serving, asked: LoggedAnswers, outputs: Sequence[float], found: FeatureRows) -> LoggedAnswers:
    processed = challenger.predictor.post_processing.apply(outputs, asked.inputs)
    names = os.urandom(16 * len(asked)).hex()
    said = {
        "model_version": challenger.release.model_version,
        "feature_service": challenger.release.feature_service,
        "prediction_id": [names[place : place + 32] for place in range(0, len(names), 32)],
        "prediction": [each.prediction for each in processed],
        "decision": [each.decision for each in processed],
        "changes": [each.changes for each in processed],
        "inputs": {},  # they stand in the champion's line
        "read": list(range(len(asked))) if found.values else [],
        "features": found.values,
        "event_times": found.event_times,
        "created_times": found.created_times,
        "role": SHADOW,
        "shadow_of": asked.prediction_id,
    }
    return asked.model_copy(update=said)
