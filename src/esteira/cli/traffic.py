"""Ask a running service about real flights: the demo's callers."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import httpx
import polars as pl

from esteira.contract import EVENT
from esteira.errors import EsteiraError

_PAUSE_SECONDS = 0.02


@dataclass
class Load:
    """What a constant stream of requests saw: answers per release, in order, and every failure."""

    answered: dict[int, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def asked_around(entities: pl.DataFrame, moment: datetime, *, within: timedelta, count: int, seed: int) -> pl.DataFrame:
    """At most ``count`` flights, drawn by ``seed``, whose asking moment lies within ``within`` after ``moment``."""
    due = entities.filter((pl.col(EVENT) > moment) & (pl.col(EVENT) <= moment + within))
    return due.sample(min(count, due.height), seed=seed).sort(EVENT)


def question(flights: pl.DataFrame, as_of: datetime) -> dict[str, Any]:
    """The body that asks ``flight_delay`` about ``flights`` with the knowledge of ``as_of``."""
    return {
        "flights": [
            {
                **{name: row[name] for name in ("flight_id", "carrier", "flight", "origin", "dest", "tailnum")},
                "scheduled_departure": _moment(row["scheduled_departure"]),
                "scheduled_arrival": _moment(row["scheduled_arrival"]),
            }
            for row in flights.iter_rows(named=True)
        ],
        "as_of": as_of.isoformat(),
    }


def ask(url: str, questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send one request per question; return all predictions. Raises EsteiraError on any answer but success."""
    answers: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, timeout=30) as client:
        for each in questions:
            response = client.post("/predict", json=each)
            if not response.is_success:
                raise EsteiraError(f"The service answered {response.status_code} to a real request: {response.text}")
            answers.extend(response.json()["predictions"])
    return answers


@contextmanager
def constant_load(url: str, bodies: Sequence[dict[str, Any]]) -> Iterator[Load]:
    """Ask the questions one after the other, over and over, from one thread, until the block ends."""
    load, stop = Load(), threading.Event()

    def keep_asking() -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            for body in cycle(bodies):
                if stop.is_set():
                    return
                _ask_once(client, body, load)
                time.sleep(_PAUSE_SECONDS)

    thread = threading.Thread(target=keep_asking, name="constant-load", daemon=True)
    thread.start()
    try:
        yield load
    finally:
        stop.set()
        thread.join()


def _ask_once(client: httpx.Client, body: dict[str, Any], load: Load) -> None:
    started = time.perf_counter()
    try:
        response = client.post("/predict", json=body)
        if not response.is_success:
            load.failures.append(f"{response.status_code}: {response.text[:200]}")
            return
        releases = {each["release"] for each in response.json()["predictions"]}
        if len(releases) != 1:
            load.failures.append(f"one answer came from releases {sorted(releases)}")
            return
        release = releases.pop()
        load.answered[release] = load.answered.get(release, 0) + 1
    except httpx.HTTPError as error:
        load.failures.append(f"{type(error).__name__}: {error}")
    finally:
        load.seconds.append(time.perf_counter() - started)


def _moment(seconds: int | datetime) -> str:
    if isinstance(seconds, datetime):
        return seconds.isoformat()
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
