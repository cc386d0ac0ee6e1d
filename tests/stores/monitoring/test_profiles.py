import os
from pathlib import Path

import polars as pl
import pytest

from esteira.contract import utc
from esteira.errors import DataError, DiskFull, InputError, MissingData
from esteira.model_card import Column
from esteira.monitoring.profile import build_profile, read_profile
from esteira.stores.monitoring import profiles
from esteira.stores.monitoring.profiles import StoredWindow

FIRST, SECOND, THIRD = utc("2013-03-01"), utc("2013-03-08"), utc("2013-03-15")


def test_a_saved_profile_is_loaded_as_it_was(home: Path) -> None:
    path = profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3), b"profile")
    assert path.is_relative_to(home / "profiles" / "flight_delay" / "3")
    assert profiles.load("flight_delay", StoredWindow(FIRST, SECOND, 3)) == b"profile"


def test_a_window_that_is_profiled_again_replaces_itself(home: Path) -> None:
    profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3), b"first")
    profiles.save("flight_delay", StoredWindow(utc("2013-03-01T01:00:00+01:00"), SECOND, 3), b"again")
    assert profiles.list_windows("flight_delay") == [StoredWindow(FIRST, SECOND, 3)]
    assert profiles.load("flight_delay", StoredWindow(FIRST, SECOND, 3)) == b"again"


def test_the_same_window_with_more_rows_replaces_itself_and_no_other_segment(home: Path) -> None:
    for segment in ("JFK", "EWR/x_y %"):
        profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3, segment, 5), b"five")
    profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3, "JFK", 7), b"seven")
    kept = profiles.list_windows("flight_delay")
    assert [(each.segment, each.rows) for each in kept] == [("EWR/x_y %", 5), ("JFK", 7)]
    assert [profiles.load("flight_delay", each) for each in kept] == [b"five", b"seven"]


def test_windows_are_listed_by_time_for_one_release_or_all(home: Path) -> None:
    profiles.save("flight_delay", StoredWindow(SECOND, THIRD, 4), b"b")
    profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3), b"a")
    profiles.save("flight_duration", StoredWindow(FIRST, SECOND, 5), b"c")
    assert [window.release for window in profiles.list_windows("flight_delay")] == [3, 4]
    assert profiles.list_windows("flight_delay", 4) == [StoredWindow(SECOND, THIRD, 4)]
    assert profiles.list_windows("flight_delay", 9) == []


def test_a_write_that_fails_leaves_what_was_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3), b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="disk or quota"):
            profiles.save("flight_delay", StoredWindow(FIRST, SECOND, 3), b"second")
    assert profiles.load("flight_delay", StoredWindow(FIRST, SECOND, 3)) == b"first"
    assert len(list((home / "profiles").rglob("*.*"))) == 1


def test_a_window_nobody_profiled_is_missing(home: Path) -> None:
    with pytest.raises(MissingData, match=r"release 3, from 2013-03-01.*0 windows are kept"):
        profiles.load("flight_delay", StoredWindow(FIRST, SECOND, 3))


def test_a_window_that_ends_before_it_starts_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match="Give its start first"):
        profiles.save("flight_delay", StoredWindow(SECOND, FIRST, 3), b"")


def test_a_bit_that_flips_on_disk_is_noticed(home: Path) -> None:
    columns = [Column(name="delay", type="number", view="origin")]
    path = profiles.save(
        "flight_delay", StoredWindow(FIRST, SECOND, 3), build_profile(pl.DataFrame({"delay": [1.0, 2.0]}), columns)
    )
    kept = bytearray(path.read_bytes())
    kept[len(kept) // 2] ^= 4
    path.write_bytes(kept)
    with pytest.raises(DataError, match="damaged"):
        read_profile(profiles.load("flight_delay", StoredWindow(FIRST, SECOND, 3)))
