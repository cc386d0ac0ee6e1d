"""What a service tells Prometheus: requests, answers, ages of features, its release, its log; merged over its workers.

Labels come from closed sets only. The framework's own metrics take the whole path as a label, with every key a caller
asks about, so they are off.
"""

import os
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import prometheus_client as prometheus
from prometheus_client import multiprocess

from esteira.serving.answers import Answer
from esteira.settings import measures_shared_in

CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_AGES = (60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600)


class Measures:
    """The measures of this process; made once, after the server has said where processes meet."""

    def __init__(self) -> None:
        self._requests = prometheus.Counter("esteira_requests", "Requests, refused ones too.", ["path", "status"])
        self._seconds = prometheus.Histogram("esteira_request_seconds", "Time to reply.", ["path"], buckets=_SECONDS)
        self._answers = prometheus.Counter("esteira_answers", "Predictions given, by where they came from.", ["source"])
        self._lacking = prometheus.Counter("esteira_answers_lacking", "Predictions with a feature missing or stale.")
        self._ages = prometheus.Histogram(
            "esteira_feature_age_seconds", "Oldest value of a view in a request.", ["view"], buckets=_AGES
        )
        self._release = prometheus.Gauge(
            "esteira_release_info",
            "1 for what is served.",
            ["use_case", "release", "model_version"],
            multiprocess_mode="livemax",
        )
        self._waiting = prometheus.Gauge("esteira_log_waiting", "Answers not yet on disk.", multiprocess_mode="livesum")
        self._failing = prometheus.Gauge(
            "esteira_log_failing", "1 while a process cannot write its log.", multiprocess_mode="livemax"
        )
        self._dropped = prometheus.Gauge(
            "esteira_log_dropped", "Answers given without being logged.", multiprocess_mode="livesum"
        )
        self._shadowed = prometheus.Counter(
            "esteira_shadow", "Predictions asked of a challenger whose answers nobody gets.", ["result"]
        )
        self._stood_in = prometheus.Counter(
            "esteira_stand_ins", "Predictions given by the champion because its challenger failed."
        )
        self._replies: dict[tuple[str, int], tuple[prometheus.Counter, prometheus.Histogram]] = {}
        self._served: tuple[str, str, str] | None = None

    def replied(self, path: str, status: int, seconds: float) -> None:
        """Count one request; ``path`` must be of a closed set."""
        mine = self._replies.get((path, status))
        if mine is None:  # finding them by their labels costs as much as counting
            mine = self._requests.labels(path, str(status)), self._seconds.labels(path)
            self._replies[path, status] = mine
        mine[0].inc()
        mine[1].observe(seconds)

    def answered(self, answers: Sequence[Answer]) -> None:
        """Count the predictions of one request."""
        for source, count in Counter(each.source for each in answers).items():
            self._answers.labels(source).inc(count)
        self._lacking.inc(sum(1 for each in answers if each.missing or each.stale))
        for view in answers[0].feature_ages if answers else ():
            ages = [age for each in answers if (age := each.feature_ages.get(view)) is not None]
            if ages:
                self._ages.labels(view).observe(max(ages))

    def shadowed(self, result: Literal["logged", "failed", "dropped"], count: int) -> None:
        """Count predictions in the shadow."""
        self._shadowed.labels(result).inc(count)

    def stood_in(self, count: int) -> None:
        """Count predictions that a challenger owed to callers."""
        self._stood_in.inc(count)

    def serves(self, use_case: str, release: int, model_version: str) -> None:
        """Say what is served now."""
        serving = (use_case, str(release), model_version)
        if serving != self._served:
            if self._served is not None:
                self._release.labels(*self._served).set(0)
            self._release.labels(*serving).set(1)
            self._served = serving

    def logs(self, *, waiting: int, failing: bool, dropped: int) -> None:
        """Say how the prediction log is."""
        self._waiting.set(waiting)
        self._failing.set(failing)
        self._dropped.set(dropped)


@lru_cache(maxsize=1)
def measures() -> Measures:
    """The measures of this process."""
    return Measures()


def page() -> bytes:
    """All processes' measures in Prometheus' text format."""
    folder = measures_shared_in()
    if folder is None:
        return prometheus.generate_latest()
    for file in folder.glob("gauge_live*_*.db"):  # of a worker that was killed: it cannot say so itself
        process = int(file.stem.rpartition("_")[2])
        if not _is_alive(process):
            multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]
    registry = prometheus.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return prometheus.generate_latest(registry)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, as somebody else's
        return True
    return True
