import multiprocessing
import resource
from pathlib import Path

import pytest
import sqlalchemy as sa

from esteira.errors import DiskFull, MissingData
from esteira.stores.disk import full_disk_told
from esteira.stores.whole_files import write_whole


def _write_beyond_the_limit(path: Path, told: "multiprocessing.Queue[str]") -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        write_whole(path, b"x" * 20_000)
    except DiskFull as error:
        told.put(str(error))


def test_a_file_that_may_not_grow_is_refused_as_a_full_disk_and_leaves_what_was_there(home: Path) -> None:
    path = write_whole(home / "kept.txt", b"before")
    spawn = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[str] = spawn.Queue()
    child = spawn.Process(target=_write_beyond_the_limit, args=(path, told))
    child.start()
    assert "kept.txt in" in told.get(timeout=60)
    child.join()
    assert path.read_bytes() == b"before"
    assert [each.name for each in home.iterdir()] == ["kept.txt"]


def test_a_database_that_cannot_grow_is_a_full_disk(home: Path) -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 2")
        with pytest.raises(DiskFull, match="The record could not be written"), full_disk_told("The record"):
            connection.exec_driver_sql("CREATE TABLE filled AS SELECT randomblob(100000)")


def test_other_failures_stay_what_they_are(home: Path) -> None:
    with pytest.raises(FileNotFoundError), full_disk_told("A file"):
        (home / "absent").read_bytes()
    with pytest.raises(MissingData), full_disk_told("A table"):
        raise MissingData("No space left on device is what its name says.")
