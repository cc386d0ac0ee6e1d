import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import DataError, InputError, UnknownName
from esteira.settings import child_environment, settings
from esteira.stores import audit, clock
from esteira.stores.answers import prediction_log, predictions
from esteira.stores.data import tables
from esteira.stores.feature_store import features, online_features
from esteira.stores.model_store import training_sets
from esteira.stores.stewardship import byte_scan, forgetting, holds
from flows.steps import data as steps
from tests.conftest import Belt, use_home

NAME = "flight_delay"
DECLARED = use_cases.get(NAME)


@pytest.fixture
def copied(belt: Belt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The belt's home, copied, to be changed at will."""
    shutil.copytree(belt.home, tmp_path / "home")
    use_home(monkeypatch, tmp_path / "home")
    yield tmp_path / "home"
    monkeypatch.undo()
    settings.cache_clear()
    features.open_store.cache_clear()


def logged(answers: dict[str, dict[str, object]]) -> prediction_log.LoggedAnswers:
    moment, count = utc("2013-03-01T04:00:00Z"), len(answers)
    flights = list(answers.values())
    return prediction_log.LoggedAnswers(
        use_case=NAME, release=1, model_version="m", feature_service="flight_delay_v1", requested_at=moment,
        horizon=moment, prediction_id=list(answers), entity_id=[str(each["flight_id"]) for each in flights],
        as_of=[moment] * count, source=["computed"] * count, prediction=[0.3] * count, decision=[False] * count,
        changes=[()] * count, inputs={name: [each[name] for each in flights] for name in flights[0]}, read=[],
        features={}, event_times={}, created_times={},
    )  # fmt: skip


KILLED_ON_THE_WAY = """
import os, signal, sys
from esteira.stores.stewardship import forgetting

seen = 0
def count(event, arguments):
    global seen
    if event in {"open", "os.rename", "os.remove", "sqlite3.connect", "fcntl.flock", "mmap.__new__"}:
        seen += 1
        if seen == limit:
            os.kill(os.getpid(), signal.SIGKILL)

column, value = sys.argv[1:]
limit, killed = 25, 0
while True:
    child = os.fork()
    if child == 0:
        sys.addaudithook(count)
        forgetting.forget(column, value, reason="asked to", actor="ana")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        break
    limit, killed = limit * 2, killed + 1
print(killed, os.waitstatus_to_exitcode(status))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_aircraft_is_forgotten_everywhere_whatever_is_killed_and_does_not_come_back(
    copied: Path, belt: Belt
) -> None:
    schedules = tables.read("schedules")
    gone = schedules["tailnum"].drop_nulls().value_counts(sort=True)["tailnum"][0]
    keys = ["flight_id", "carrier", "flight", "origin", "dest", "tailnum"]
    its = schedules.filter(pl.col("tailnum") == gone)
    other = schedules.filter(pl.col("tailnum") != gone).select(keys).row(0, named=True)
    log = prediction_log.PredictionLog(NAME, started_at=belt.as_of)
    for place in range(2):
        victim = its.select(keys).row(place, named=True)
        log.write(logged({f"victim-{place}": victim, f"other-{place}": other})).result(timeout=30)
        if place == 0:
            predictions.collect(NAME)
    before = {name: tables.scan(name).select(pl.len()).collect().item() for name in tables.names()}
    places = {str(path.relative_to(copied)).split("/")[0] for path in byte_scan.places(copied, [gone])}
    assert places >= {"tables", "training_sets", "feast", "prediction_log"}

    told = subprocess.run(
        [sys.executable, "-c", KILLED_ON_THE_WAY, "tailnum", gone],
        env=child_environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    killed, code = map(int, told.stdout.split()[-2:])
    assert (killed >= 3, code) == (True, 0), told.stderr
    assert byte_scan.places(copied, [gone]) == []
    log.write(logged({"other-2": other})).result(timeout=30)
    log.close()
    assert predictions.collect(NAME) == 2
    kept = set(predictions.read_predictions(NAME)["prediction_id"])  # other tests may have asked the shared belt
    assert {"other-0", "other-1", "other-2"} <= kept
    assert not {"victim-0", "victim-1"} & kept

    after = {name: tables.scan(name).select(pl.len()).collect().item() for name in before}
    assert after["schedules"] == before["schedules"] - its.height
    assert after["origin_weather"] == before["origin_weather"]
    for path in training_sets.paths():
        assert gone not in training_sets.load(path)["tailnum"].to_list()
    store = features.open_store()
    read = online_features.OnlineFeatures(store, DECLARED.feature_service).read(
        {name: [row] for name, row in its.select(keys).row(0, named=True).items()}
        | {name: [0] for name in DECLARED.request_inputs},
        belt.as_of,
    )
    assert read.event_times["plane_facts"] == read.event_times["flight_plan"] == [None]
    done = audit.entries(action="forgot")[-1]
    assert f"{NAME}:{belt.challenger}" in done.details["models"]
    assert gone not in audit.entries()[-1].model_dump_json()
    audit.verify()

    # Nothing brings it back: neither the same source taken in anew, nor the same predictions made again.
    shutil.rmtree(copied / "tables" / "departures")
    tables._handles.clear()
    reached = clock.horizon(DECLARED)  # other tests may have moved the shared belt on
    steps.append_raw.fn(NAME, reached)
    steps.append_features.fn(NAME, reached)
    steps.write_online.fn(NAME, reached)
    assert tables.scan("departures").select(pl.len()).collect().item() == after["departures"]
    assert byte_scan.places(copied, [gone]) == []


@pytest.mark.parametrize(
    ("column", "value", "reason", "error", "told"),
    [
        ("tail", "N14228", "asked to", UnknownName, "Unknown entity key 'tail'"),
        ("carrier", "UA", "asked to", InputError, "2 characters"),
        ("tailnum", "N14228", " ", InputError, "State a reason"),
        ("tailnum", "N14228", "owner of N14228 asked", InputError, "does not repeat"),
    ],
)
def test_what_cannot_be_forgotten_is_refused(
    home: Path, column: str, value: str, reason: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        forgetting.forget(column, value, reason=reason, actor="ana")
    assert audit.entries() == []


def test_a_held_entity_is_not_forgotten_until_the_hold_is_lifted(home: Path) -> None:
    hold = holds.place("entity:tailnum=N14228", actor="judge", reason="a lawsuit")
    assert "N14228" not in hold.model_dump_json()
    with pytest.raises(InputError, match="held since"):
        forgetting.forget("tailnum", "N14228", reason="asked to", actor="ana")
    holds.lift(hold.id, actor="judge", reason="settled")
    assert forgetting.forget("tailnum", "N14228", reason="asked to", actor="ana").erased == {}
    with pytest.raises(UnknownName, match="Unknown hold"):
        holds.lift(hold.id, actor="judge", reason="again")
    assert [entry.action for entry in audit.entries()] == ["held", "lifted hold", "began to forget", "forgot"]


def test_a_copy_that_somebody_left_in_the_home_is_named(home: Path) -> None:
    (home / "notes").mkdir(parents=True)
    (home / "notes" / "copy.csv").write_text("tailnum\nN14228\n")
    with pytest.raises(DataError, match=r"notes/copy\.csv"):
        forgetting.forget("tailnum", "N14228", reason="asked to", actor="ana")
    os.unlink(home / "notes" / "copy.csv")
    assert forgetting.forget("tailnum", "N14228", reason="asked to", actor="ana").models == ()
