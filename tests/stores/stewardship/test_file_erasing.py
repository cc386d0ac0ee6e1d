import json
import os
from pathlib import Path

import polars as pl
from pydantic_core import to_json

from esteira.contract import utc
from esteira.settings import settings
from esteira.stewardship.traces import Traces
from esteira.stores.answers import predictions
from esteira.stores.model_store import training_sets
from esteira.stores.monitoring import profiles
from esteira.stores.monitoring.profiles import StoredWindow
from esteira.stores.stewardship import byte_scan, file_erasing
from tests.stores.answers.asked import logged

GONE = "N14228"
TRACES = Traces.of("tailnum", GONE, {"flight_id": ["f1"]})
LINES = [
    {"prediction_id": "a", "entity_id": "f0", "inputs": {"tailnum": GONE}},
    {"prediction_id": "b", "entity_id": "f1", "inputs": {"tailnum": None}},
    {"prediction_id": "c", "entity_id": "f2", "inputs": {"tailnum": f"{GONE}X"}},
]


def test_lines_of_a_segment_are_blanked_where_they_stand_while_its_service_writes_on(home: Path) -> None:
    segment = settings().prediction_log_path / "flight_delay" / "host-1.jsonl"
    segment.parent.mkdir(parents=True)
    whole = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)
    service = os.open(segment, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(service, whole)
    assert file_erasing.erase_logged(TRACES) == 2
    os.write(service, b'{"torn')
    os.close(service)
    left = segment.read_bytes()
    assert len(left) == len(whole) + len(b'{"torn')
    assert [json.loads(line)["prediction_id"] for line in left.splitlines()[:3] if line.strip()] == ["c"]
    assert file_erasing.erase_logged(TRACES) == 0


def test_of_a_request_about_several_only_the_entitys_answers_are_erased(home: Path) -> None:
    asked = logged("0", "1", "2").model_copy(update={"inputs": {"tailnum": ["N1", GONE, f"{GONE}X"]}, "read": [1, 2]})
    found = {"features": {"x": ["its own", "other"]}, "event_times": {}, "created_times": {}}
    line = to_json(asked.model_copy(update=found))
    segment = settings().prediction_log_path / "flight_delay" / "host-1.jsonl"
    segment.parent.mkdir(parents=True)
    segment.write_bytes(line + b"\n" + to_json(logged("3")) + b"\n")
    assert file_erasing.erase_logged(TRACES) == 1
    assert len(segment.read_bytes()) == len(line) + 1 + len(to_json(logged("3"))) + 1
    assert predictions.collect("flight_delay") == 3
    kept = predictions.read_predictions("flight_delay").sort("prediction_id")
    assert kept["prediction_id"].to_list() == ["0", "2", "3"]
    assert [json.loads(each) for each in kept["features"][:2]] == [{}, {"x": "other"}]
    assert [json.loads(each)["tailnum"] for each in kept["inputs"][:2]] == ["N1", f"{GONE}X"]


def test_a_line_that_was_kept_apart_is_removed_when_it_names_the_entity(home: Path) -> None:
    apart = settings().prediction_log_path / "flight_delay" / "unreadable"
    apart.mkdir(parents=True)
    (apart / "one").write_text(json.dumps(LINES[0]))
    (apart / "two").write_text(json.dumps(LINES[2]))
    assert file_erasing.erase_logged(TRACES) == 1
    assert [path.name for path in apart.iterdir()] == ["two"]


def test_training_sets_lose_the_entitys_rows_and_keep_the_others_and_their_versions(home: Path) -> None:
    rows = pl.DataFrame({"flight_id": ["f0", "f1", "f2"], "tailnum": [GONE, None, "N1"], "delay": [1.0, 2.0, 3.0]})
    path = training_sets.save("flight_delay", rows, as_of=utc("2013-03-01"), data_versions={"schedules": 4})
    untouched = training_sets.save("flight_delay", rows[2:], as_of=utc("2013-04-01"), data_versions={})
    stamp = untouched.stat().st_mtime_ns
    path.with_suffix(".99999.tmp").write_bytes(path.read_bytes())
    assert file_erasing.erase_training_rows(TRACES) == {path.name: 2}
    assert training_sets.load(path).rows() == [("f2", "N1", 3.0)]
    assert training_sets.data_versions(path) == {"schedules": 4}
    assert untouched.stat().st_mtime_ns == stamp
    assert byte_scan.places(home, [GONE]) == []


def test_profiles_that_hold_the_value_are_removed(home: Path) -> None:
    start, end = utc("2013-03-01"), utc("2013-03-08")
    holding = profiles.save("flight_delay", StoredWindow(start, end, 1), f"…{GONE}…".encode())
    other = profiles.save("flight_delay", StoredWindow(start, end, 2), b"nothing")
    assert file_erasing.erase_profiles(TRACES) == 1
    assert (holding.exists(), other.exists()) == (False, True)


def test_the_byte_scan_finds_values_in_compressed_and_nested_columns_and_in_plain_bytes(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    pl.DataFrame({"a": [{"b": f"x{GONE}y"}] * 1000}).write_parquet(tmp_path / "deep" / "nested.parquet")
    pl.DataFrame({"a": [["N1", GONE]] * 1000}).write_parquet(tmp_path / "list.parquet")
    pl.DataFrame({"a": ["N1", "N2"], "n": [1, 2]}).write_parquet(tmp_path / "other.parquet")
    (tmp_path / "latin.bin").write_bytes(b"\xff\x00" + GONE.encode() + b"\xfe")
    (tmp_path / "empty").touch()
    expected = ["deep/nested.parquet", "latin.bin", "list.parquet"]
    for values in ([GONE], [GONE, "N99999"]):
        assert [str(path.relative_to(tmp_path)) for path in byte_scan.places(tmp_path, values)] == expected
    assert byte_scan.places(tmp_path, [GONE], apart_from=[f"x{GONE}y"]) == [
        tmp_path / "latin.bin",
        tmp_path / "list.parquet",
    ]
    assert byte_scan.places(tmp_path, ["N99999", "Zürich"]) == byte_scan.places(tmp_path, []) == []
