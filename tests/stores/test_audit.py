import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from esteira.contract import utc
from esteira.errors import AlteredLog
from esteira.settings import child_environment, settings
from esteira.stewardship.audit_chain import Deed, Head
from esteira.stores import audit, database
from esteira.stores.releases import ledger
from tests.stores import postgres
from tests.stores.releases.test_ledger import proposal


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def log(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """Five deeds in the log of an empty home, and a connection around the store's back."""
    if request.param == "sqlite":
        yield five_deeds()
        return
    with postgres.database() as url:
        monkeypatch.setenv("ESTEIRA_LEDGER_URL", url)
        settings.cache_clear()
        try:
            yield five_deeds()
        finally:
            database._engine(url).dispose()


def five_deeds() -> sa.Engine:
    for place in range(1, 6):
        audit.record(
            Deed(
                actor="ana" if place % 2 else "flow:ingest", action="held", subject=f"table:t{place}", reason="lawsuit",
                details={"rows": place, "share": 0.1}, as_of=utc(f"2013-03-0{place}T00:00:00+05:45"),
            )
        )  # fmt: skip
    return sa.create_engine(settings().ledger)


def tamper(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for event in ("update", "delete"):
            suffix = " ON audit" if engine.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP TRIGGER audit_refuses_{event}{suffix}")
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_entries_are_read_as_they_were_written_and_chosen_by_who_what_and_when(log: sa.Engine) -> None:
    assert [entry.id for entry in audit.entries()] == [1, 2, 3, 4, 5]
    assert [entry.subject for entry in audit.entries(actor="flow:ingest")] == ["table:t2", "table:t4"]
    assert [entry.details["rows"] for entry in audit.entries(subject="t3")] == [3]
    assert [entry.id for entry in audit.entries(newest=2)] == [4, 5]
    assert (
        audit.entries(since=utc("2999-01-01")) == audit.entries(action="released") == audit.entries(subject="%") == []
    )
    assert audit.entries()[0].as_of == utc("2013-02-28T18:15:00Z")
    assert audit.verify() == audit.verify(audit.head()) == audit.head()


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve' WHERE id = 3", "DELETE FROM audit WHERE id = 3"])
def test_the_database_refuses_to_change_or_remove_an_entry(log: sa.Engine, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), log.begin() as connection:
        connection.exec_driver_sql(statement)
    log.dispose()
    assert len(audit.entries()) == 5


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["UPDATE audit SET actor = 'eve' WHERE id = 3"], "Entry 3 was edited"),
        (["UPDATE audit SET details = '{\"rows\": 4, \"share\": 0.1}' WHERE id = 3"], "Entry 3 was edited"),
        (["DELETE FROM audit WHERE id = 3"], "Entry 3 is gone"),
        (["DELETE FROM audit WHERE id = 3", "UPDATE audit SET id = id - 1 WHERE id > 3"], "Entry 3 does not follow"),
        (
            ["UPDATE audit SET id = 99 WHERE id = 2", "UPDATE audit SET id = 2 WHERE id = 3",
             "UPDATE audit SET id = 3 WHERE id = 99"],
            "Entry 2 does not follow",
        ),
        (["DELETE FROM audit WHERE id = 5"], "The newest entries were cut off"),
        (["DELETE FROM audit"], "The newest entries were cut off"),
    ],
)  # fmt: skip
def test_who_gets_around_the_triggers_is_found_out(log: sa.Engine, statements: list[str], told: str) -> None:
    tamper(log, *statements)
    with pytest.raises(AlteredLog, match=told):
        audit.verify()


def test_a_log_cut_off_together_with_its_head_file_is_known_by_the_head_kept_elsewhere(log: sa.Engine) -> None:
    kept = audit.verify()
    tamper(log, "DELETE FROM audit WHERE id = 5")
    (settings().home / "audit.head").write_text(f"{audit.head()}\n")
    assert audit.verify().count == 4
    with pytest.raises(AlteredLog, match="the head you kept"):
        audit.verify(Head.parse(str(kept)))


def test_a_missing_head_file_is_a_fault_of_a_log_that_lies_beside_it(home: Path) -> None:
    five_deeds().dispose()
    (home / "audit.head").unlink()
    with pytest.raises(AlteredLog, match=r"audit\.head .* is gone"):
        audit.verify()


def test_a_release_and_its_entry_are_kept_together_or_not_at_all(
    log: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.dispose()
    first = ledger.append(proposal("m1"), follows=0)
    ledger.append(proposal("m2"), follows=first.id)
    ledger.roll_back("flight_delay", undoes=2, to=None, actor="ana", reason="late alarms", at=utc("2013-05-01"))
    deeds = [(each.actor, each.action, each.subject) for each in audit.entries(subject="release:")]
    assert deeds == [
        ("gate", "released", "release:flight_delay/1"),
        ("gate", "released", "release:flight_delay/2"),
        ("ana", "rolled back", "release:flight_delay/3"),
    ]

    def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(audit, "write", fail)
    with pytest.raises(RuntimeError):
        ledger.append(proposal("m3", "2013-06-01"), follows=3)
    assert ledger.live("flight_delay").id == 3


WRITER = """
import sys
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
for place in range(int(sys.argv[2])):
    audit.record(Deed(actor=sys.argv[1], action="held", subject=f"table:{place}", reason="race"))
"""


def test_writers_at_once_append_to_one_chain(log: sa.Engine) -> None:
    log.dispose()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, "25"], env=child_environment()) for name in ("b", "c")
    ]
    assert [each.wait(timeout=120) for each in writers] == [0, 0]
    assert audit.verify().count == 55
    assert len(audit.entries(actor="b")) == len(audit.entries(actor="c")) == 25


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_log(home: Path) -> None:
    five_deeds().dispose()
    for delay in (0.0, 0.01, 0.03):
        count = audit.head().count
        writer = subprocess.Popen([sys.executable, "-c", WRITER, "b", "100000"], env=child_environment())
        deadline = time.monotonic() + 60
        while audit.head().count == count and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert audit.verify().count > count
