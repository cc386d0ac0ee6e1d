"""The acts of the demo, in order: they move the belt's clock, call the flows and play the callers.

Nothing here decides anything. Imported only once the environment names the Prefect server, which Prefect reads then.
"""

import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta

import httpx
import polars as pl
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from rich.console import Console

from esteira import use_cases
from esteira.cli import servers
from esteira.cli.service import service_running
from esteira.cli.stage import Story, stage
from esteira.cli.traffic import ask, asked_around, constant_load, question
from esteira.contract import utc
from esteira.errors import EsteiraError
from esteira.monitoring.policy import Verdict
from esteira.settings import child_environment, settings
from esteira.stores import processes
from esteira.stores.data import tables
from esteira.stores.releases import ledger
from flows.ingest import ingest
from flows.monitor import Monitored, monitor
from flows.precompute import precompute
from flows.train import train
from flows.validate import validate

USE_CASE = "flight_delay"
POOL = "esteira"
START = utc("2013-03-01T05:00:00Z")  # midnight in New York
EVERY = timedelta(hours=14)
"""So a week's stops fall on every day and on every second hour of the day, and its traffic is like the whole week's."""
MOST_FLIGHTS = 70
WEEK = timedelta(days=7)
MOST_WEEKS = 8
RETRAIN_SECONDS = 240
PRECOMPUTE_SECONDS = 120


class Belt:
    """The acts of the demo, in order, on one running Prefect server."""

    def __init__(self, console: Console, stack: ExitStack) -> None:
        """Act on ``console``; what is started is stopped with ``stack``."""
        self.story = Story()
        self._console, self._stack = console, stack
        # Joining the heartbeat thread costs a second per flow run, and the demo runs some thirty.
        stack.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))

    def _stage(self, title: str) -> AbstractContextManager[Callable[[str], None]]:
        return stage(self._console, self.story, title)

    def run(self) -> None:
        """Run all acts; raises EsteiraError at the first that does not end well."""
        self._first_release()
        self._start_service()
        self._start_worker()
        self._precompute_tomorrow()
        verdict = self._weeks_until_retrain()
        self._retrain_under_load(verdict)
        self._look_up_under_new_release(verdict)
        self._one_more_week()

    def _first_release(self) -> None:
        with self._stage("Ingest two months, compute features, fill both stores") as said:
            ingested = ingest(USE_CASE, START)
            said(f"{sum(ingested.raw_rows.values()):,} records, {sum(ingested.feature_rows.values()):,} feature rows")
        with self._stage("Train a challenger") as said:
            trained = train(USE_CASE, START)
            said(trained.challenger)
        with self._stage("Judge it, try its service, release it") as said:
            validated = validate(USE_CASE, START, challenger=trained.challenger)
            if validated.release is None or validated.verdict is None:
                raise EsteiraError(f"The first challenger was refused: {validated.verdict}")
            said(f"release {validated.release}")

    def _start_service(self) -> None:
        with self._stage("Serve it over HTTP, from its bento") as said:
            port = processes.free_port(settings().service_port)
            self.url = self._stack.enter_context(service_running(ledger.live(USE_CASE), port))
            said(self.url)

    def _start_worker(self) -> None:
        with self._stage("Register the deployments and start a worker"):
            subprocess.run(
                [servers.program("prefect"), "work-pool", "create", POOL, "--type", "process", "--overwrite"],
                env=child_environment(), cwd=settings().repository, check=True, capture_output=True,
            )  # fmt: skip
            deployed = subprocess.run(
                servers.prefect_deploy(), env=child_environment(), cwd=settings().repository, check=False,
                capture_output=True, text=True,
            )  # fmt: skip
            if deployed.returncode:
                raise EsteiraError(
                    f"The deployments could not be registered: {deployed.stdout[-800:]}{deployed.stderr}"
                )
            # The demo moves the clock itself: only events start runs.
            _pause_schedules()
            self._stack.enter_context(
                processes.running(
                    "prefect-worker", servers.prefect_worker(POOL), PREFECT_WORKER_QUERY_SECONDS="1",
                    PREFECT_LOGGING_LEVEL="INFO",
                )
            )  # fmt: skip

    def _precompute_tomorrow(self) -> None:
        with self._stage("Predict tomorrow's flights ahead, look some up") as said:
            batch = precompute(USE_CASE, START)
            self.story.precomputed = batch.entities
            flights = self._flights(START, within=timedelta(hours=20), count=25)
            with httpx.Client(base_url=self.url, timeout=30) as client:
                for flight_id in flights["flight_id"]:
                    answer = client.get(f"/cached/{flight_id}")
                    if not answer.is_success:
                        raise EsteiraError(f"A precomputed flight could not be looked up: {answer.text}")
                    self.story.cached_answers += 1
            said(f"{batch.entities:,} flights")

    def _weeks_until_retrain(self) -> Verdict:
        for week in range(MOST_WEEKS):
            with self._stage(f"Week {week + 1}: live requests, outcomes, monitor") as said:
                start = START + week * WEEK
                self._ask_through(start, start + WEEK)
                seen = self._monitor(start + WEEK)
                said(_seen_in_words(seen))
            if seen.verdict.action == "retrain":
                return seen.verdict
        raise EsteiraError(
            f"In {MOST_WEEKS} weeks the monitor never asked for a retrain. That is a finding: look at it."
        )

    def _retrain_under_load(self, verdict: Verdict) -> None:
        before = ledger.live(USE_CASE)
        flights = self._flights(verdict.as_of, within=timedelta(hours=36), count=1_000)
        questions = [question(flight, verdict.as_of) for flight in flights.iter_slices(1)]
        with (
            self._stage("The event starts a retrain; the service answers on") as said,
            constant_load(self.url, questions) as load,
        ):
            deadline = time.monotonic() + RETRAIN_SECONDS
            while ledger.live(USE_CASE).id == before.id:
                if time.monotonic() > deadline:
                    raise EsteiraError(
                        f"No new release within {RETRAIN_SECONDS} s of the retrain event. The worker's log says why: "
                        f"{settings().home / 'logs' / 'prefect-worker.log'}. Refused challengers are kept as verdicts."
                    )
                time.sleep(0.1)
            after, released = ledger.live(USE_CASE), time.monotonic()
            while after.id not in load.answered and time.monotonic() < released + 20:
                time.sleep(0.02)
            self.story.changed_over_in = time.monotonic() - released
            time.sleep(1)
            said(f"release {after.id}: {sum(load.answered.values())} answers, {len(load.failures)} failures")
        self.story.load = load
        if load.failures:
            raise EsteiraError(f"Requests failed during the change-over: {load.failures[:3]}")

    def _look_up_under_new_release(self, verdict: Verdict) -> None:
        live = ledger.live(USE_CASE)
        flight = self._flights(verdict.as_of, within=timedelta(hours=20), count=1)["flight_id"][0]
        with self._stage("The release starts a precompute; cached answers follow it") as said:
            deadline = time.monotonic() + PRECOMPUTE_SECONDS
            while not (answer := httpx.get(f"{self.url}/cached/{flight}", timeout=30)).is_success:
                if time.monotonic() > deadline:
                    raise EsteiraError(f"No cached prediction of release {live.id} came: {answer.text}")
                time.sleep(0.2)
            if answer.json()["release"] != live.id:
                raise EsteiraError(f"A cached prediction of another release was answered: {answer.text}")
            said(f"release {live.id} answers for {flight} from its own batch")

    def _one_more_week(self) -> None:
        since = ledger.live(USE_CASE).released_at
        with self._stage("One more week, on the new release") as said:
            self._ask_through(since, since + WEEK)
            said(_seen_in_words(self._monitor(since + WEEK)))

    def _ask_through(self, start: datetime, end: datetime) -> None:
        """Move the clock to ``end``; at each stop ingest what arrived and ask about flights whose moment has come."""
        moment = start + EVERY
        while moment <= end:
            ingest(USE_CASE, moment)
            flights = self._flights(moment, within=timedelta(hours=1), count=MOST_FLIGHTS)
            ask(self.url, [question(flight, moment) for flight in flights.iter_slices(1)])
            self.story.requests += flights.height
            moment += EVERY

    def _monitor(self, moment: datetime) -> Monitored:
        ingest(USE_CASE, moment)
        seen = monitor(USE_CASE, moment)
        self.story.monitored.append(seen)
        return seen

    def _flights(self, moment: datetime, *, within: timedelta, count: int) -> pl.DataFrame:
        declared = use_cases.get(USE_CASE)
        entities = declared.build_entities(tables.read_known(declared.entity_reads, moment))
        return asked_around(entities, moment, within=within, count=count, seed=settings().seed)


def _pause_schedules() -> None:
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            for schedule in deployment.schedules:
                client.update_deployment_schedule(deployment.id, schedule.id, active=False)


def _seen_in_words(seen: Monitored) -> str:
    newest = seen.windows[-1]
    quality = newest.quality.metrics if newest.quality else {}
    auc = f", AUC {quality['auc'].value:.3f}" if "auc" in quality else ""
    moved = len(newest.drift.moved) if newest.drift else 0
    return f"{seen.verdict.action}: {newest.rows} predictions{auc}, {moved} columns moved, {seen.skew.headline}"
