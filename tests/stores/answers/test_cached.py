import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import utc
from esteira.errors import WrongColumns
from esteira.serving.ahead import AGES, MADE_AHEAD
from esteira.settings import settings
from esteira.stores.answers import cached
from esteira.stores.data import tables

START = utc("2013-03-01T12:00:00Z")
NAME, HISTORY = "flight_delay", "cached_predictions_flight_delay"


def rows(as_of: datetime, *entities: str, output: float = 0.2) -> pl.DataFrame:
    count = len(entities)
    return pl.DataFrame(
        {
            "entity_id": list(entities),
            "output": [output] * count,
            "as_of": [as_of] * count,
            "given": [f'{{"origin": "JFK", "scheduled_departure": {place}}}' for place in range(count)],
            "missing": [["gust"]] * count,
            AGES: [{"weather": 3600.0, "aircraft": None}] * count,
        },
        schema={**MADE_AHEAD, AGES: pl.Struct({"weather": pl.Float64(), "aircraft": pl.Float64()})},
    )


def test_cached_predictions_are_found_by_epoch_and_entity(home: Path) -> None:
    assert cached.write_cached(NAME, "e1", rows(START, "x", "y")) == 2
    found = cached.read_cached(NAME, "e1", "y")
    assert found is not None
    assert (found.output, found.as_of, found.missing) == (0.2, START, ["gust"])
    assert found.feature_ages == {"weather": 3600.0, "aircraft": None}
    assert found.given == {"origin": "JFK", "scheduled_departure": 1}
    assert cached.read_cached(NAME, "e1", "z") is None
    assert cached.read_cached(NAME, "e2", "x") is None
    assert cached.read_cached("flight_duration", "e1", "x") is None


def test_ages_and_what_was_missing_are_read_as_they_were_made(home: Path) -> None:
    ages = [{"weather": None, "aircraft": 0.1}, {"weather": 7.0, "aircraft": None}, {"weather": None, "aircraft": None}]
    missing: list[list[str]] = [[], ["gust", "wind"], ["wind"]]
    made = rows(START, "x", "y", "z")
    made = made.with_columns(pl.Series(AGES, ages, dtype=made.schema[AGES]), pl.Series("missing", missing))
    cached.write_cached(NAME, "e1", made)
    found = [cached.read_cached(NAME, "e1", name) for name in "xyz"]
    assert [each.feature_ages for each in found if each] == ages
    assert [each.missing for each in found if each] == missing
    history = tables.read(HISTORY).sort("entity_id")
    assert [json.loads(each) for each in history["feature_ages"]] == ages
    assert [json.loads(each) for each in history["missing"]] == missing


def test_one_batch_is_of_one_feature_service(home: Path) -> None:
    batch = cached.Batch(NAME, "e1", START)
    batch.write(rows(START, "x"), after=0)
    other = rows(START, "y").with_columns(pl.col(AGES).struct.rename_fields(["weather", "carrier"]))
    with pytest.raises(WrongColumns, match="One batch is made with one feature service"):
        batch.write(other, after=1)
    assert batch.written() == 1


def test_a_file_of_an_earlier_version_is_filled_anew(home: Path) -> None:
    home.mkdir(exist_ok=True)
    with closing(sqlite3.connect(home / "cached_predictions.db")) as old:
        old.execute("CREATE TABLE made (batch TEXT, entity_id TEXT, PRIMARY KEY (batch, entity_id))")
        old.execute("INSERT INTO made VALUES ('b', 'x')")
        old.commit()
    assert cached.read_cached(NAME, "e1", "x") is None
    assert cached.write_cached(NAME, "e1", rows(START, "x")) == 1
    assert cached.read_cached(NAME, "e1", "x") is not None


def test_many_are_looked_up_at_once(home: Path) -> None:
    names = [f"n{place}" for place in range(10_000)]
    cached.write_cached(NAME, "e1", rows(START, *names))
    assert set(cached.CachedPredictions(NAME).read("e1", [*names, "absent"])) == set(names)


def test_what_is_known_of_an_entity_outlives_the_epoch_it_was_predicted_in(home: Path) -> None:
    cached.write_cached(NAME, "e1", rows(START, "x"))
    cached.write_cached(NAME, "e2", rows(START + timedelta(hours=1), "y", "x"))
    looked_up = cached.CachedPredictions(NAME)
    assert looked_up.known(["x", "nobody"]) == {"x": {"origin": "JFK", "scheduled_departure": 1}}
    cached.write_cached(NAME, "e2", rows(START + cached.KEPT + timedelta(hours=2), "z"))
    assert set(looked_up.known(["x", "z"])) == {"z"}


def test_a_new_batch_replaces_the_epochs_old_one_whole_and_history_keeps_both(home: Path) -> None:
    later = START + timedelta(days=1)
    cached.write_cached(NAME, "e1", rows(START, "x", "y"))
    for _ in range(2):
        cached.write_cached(NAME, "e1", rows(later, "y", "z", output=0.7))
    assert cached.read_cached(NAME, "e1", "x") is None
    assert cached.read_cached(NAME, "e1", "y").output == 0.7  # type: ignore[union-attr]
    history = tables.read(HISTORY)
    assert history.height == 4
    assert set(history["day"].to_list()) == {START.date(), later.date()}
    files = {path.parent.name for path in (home / "tables" / HISTORY).rglob("*.parquet")}
    assert files == {"day=2013-03-01", "day=2013-03-02"}


def test_an_older_batch_never_takes_the_place_of_a_newer_one(home: Path) -> None:
    cached.write_cached(NAME, "e1", rows(START, "x", output=0.9))
    cached.write_cached(NAME, "e1", rows(START - timedelta(hours=1), "x", output=0.1))
    assert cached.read_cached(NAME, "e1", "x").output == 0.9  # type: ignore[union-attr]
    assert cached.Batch(NAME, "e1", START - timedelta(hours=1)).is_shown
    assert not cached.Batch(NAME, "e1", START + timedelta(hours=1)).is_shown


def test_a_batch_in_pieces_is_seen_only_when_it_is_shown(home: Path) -> None:
    cached.write_cached(NAME, "e1", rows(START, "x", output=0.1))
    batch = cached.Batch(NAME, "e1", START + timedelta(hours=1))
    batch.write(rows(START + timedelta(hours=1), "x", output=0.2), after=0)
    assert batch.written() == 1
    assert cached.read_cached(NAME, "e1", "x").output == 0.1  # type: ignore[union-attr]
    again = cached.Batch(NAME, "e1", START + timedelta(hours=1))
    again.write(rows(START + timedelta(hours=1), "y", output=0.2), after=again.written())
    assert again.show() == 2
    assert again.mean() == 0.2
    assert cached.read_cached(NAME, "e1", "x").output == 0.2  # type: ignore[union-attr]


def test_one_look_up_never_sees_two_batches(home: Path) -> None:
    names = [str(place) for place in range(500)]
    cached.write_cached(NAME, "e1", rows(START, *names, output=0.0))
    written = threading.Event()

    def rewrite() -> None:
        for n in range(1, 8):
            batch = cached.Batch(NAME, "e1", START + timedelta(hours=n))
            for piece in (0, 250):
                batch.write(rows(START + timedelta(hours=n), *names[piece : piece + 250], output=n / 10), after=piece)
            batch.show()
        written.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    reader = cached.CachedPredictions(NAME)
    seen: list[float] = []
    while not written.is_set():
        found = reader.read("e1", names)
        assert len(found) == 500
        outputs = {each.output for each in found.values()}
        assert len(outputs) == 1
        seen.append(outputs.pop())
    writer.join()
    reader.close()
    assert seen == sorted(seen)
    assert len(set(seen)) > 1


def test_a_batch_with_wrong_columns_or_a_doubled_entity_is_refused(home: Path) -> None:
    with pytest.raises(WrongColumns, match="Expected"):
        cached.write_cached(NAME, "e1", rows(START, "x").drop("missing"))
    with pytest.raises(WrongColumns, match="each entity once"):
        cached.write_cached(NAME, "e1", rows(START, "x", "x"))
    with pytest.raises(WrongColumns, match="all as of"):
        cached.Batch(NAME, "e1", START).write(rows(START + timedelta(hours=1), "x"), after=0)
    assert cached.read_cached(NAME, "e1", "x") is None


@pytest.mark.slow
def test_a_precompute_that_is_killed_anywhere_leaves_the_old_batch_whole_and_goes_on_where_it_stopped(
    home: Path,
) -> None:
    """A child writes batches of ten pieces under a reader's eyes and is killed again and again, some pieces on."""
    program = textwrap.dedent(
        """
        from datetime import timedelta
        from esteira.stores.answers import cached
        from tests.stores.answers.test_cached import NAME, START, rows
        print("ready", flush=True)
        for n in range(1, 4):
            moment = START + timedelta(hours=n)
            batch = cached.Batch(NAME, "e1", moment)
            if batch.is_shown:
                continue
            print("began at", batch.written(), flush=True)
            for start in range(batch.written(), 1000, 100):
                batch.write(rows(moment, *map(str, range(start, start + 100)), output=n / 10), after=start)
                print("piece", flush=True)
            batch.show()
        """
    )
    names = list(map(str, range(1000)))
    cached.write_cached(NAME, "e1", rows(START, *names, output=0.0))
    reader, over = cached.CachedPredictions(NAME), threading.Event()
    mixed: list[object] = []

    def watch() -> None:
        while not over.wait(0.02):
            found = reader.read("e1", names)
            seen = {(each.output, each.as_of) for each in found.values()}
            if len(found) != 1000 or len(seen) != 1:
                mixed.append(seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    randomness = random.Random(7)
    kills, began, code = 0, [], None
    while code != 0:
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, env=dict(os.environ), cwd=settings().repository
        )
        assert child.stdout is not None
        left = randomness.randint(1, 9) if kills < 3 else 1_000
        for line in child.stdout:
            began += [int(line.split()[-1])] if line.startswith(b"began") else []
            left -= line == b"piece\n"
            if left == 0:
                time.sleep(randomness.uniform(0, 0.05))
                child.send_signal(signal.SIGKILL)
                break
        code = child.wait()
        child.stdout.close()
        kills += code != 0
    over.set()
    watcher.join()
    assert mixed == []
    assert kills >= 3
    assert any(0 < each < 1000 for each in began)  # it did go on in the middle
    assert {each.output for each in reader.read("e1", names).values()} == {0.3}
    reader.close()
    history = tables.read(HISTORY)
    assert history.height == 4 * 1000
    assert history.group_by("as_of").agg(pl.col("entity_id").n_unique())["entity_id"].to_list() == [1000] * 4
