"""A process that takes one slice in again and again, in forks of itself that are killed on the way.

Run by ``test_intake_crashes.py`` under ``crash_points.c``. The parent only imports: threads would not survive a fork.
Each trial starts from a copy of one home, is killed, and is then looked at and finished by a second fork.
"""

import ctypes
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl

from esteira.contract import CREATED
from esteira.settings import settings
from esteira.stores.data import intake, quarantine, schemas, statistics, tables
from tests.data.orders import ORDERS, START, FrameSource, orders

DAY = timedelta(days=1)
SPOILT, RANDOM_KILLS = 8, 200


def main(folder: Path, share: int, shares: int) -> None:
    """Prepare a home, try every crash point, then random moments; exit non-zero at the first broken promise.

    Of ``shares`` processes that try them together, this one is number ``share``.
    """
    shim = ctypes.CDLL(None)
    template = folder / "template"
    in_a_fork(template, prepare)
    points = folder / "points"

    def count() -> None:
        shim.crash_before(ctypes.c_long(0))
        take_in(template.parent / "counted")
        points.write_text(str(shim.crash_calls()))

    started = time.monotonic()
    shutil.copytree(template, folder / "counted")
    in_a_fork(folder / "counted", count)
    taken = time.monotonic() - started
    total = int(points.read_text())
    seen = {"before": 0, "after": 0}
    for point in range(1 + share, total + 1, shares):
        seen[trial(folder, template, lambda point=point: shim.crash_before(ctypes.c_long(point)), None)] += 1
    chance = random.Random(2013 + share)
    for _ in range(RANDOM_KILLS // shares):
        seen[trial(folder, template, lambda: None, chance.uniform(0, taken))] += 1
    sys.stdout.write(f"{total} {seen['before']} {seen['after']}\n")


def prepare() -> None:
    make_history().write_ipc(settings().home.parent / "history.arrow")
    source = FrameSource(history(), settings().home / "shop.json")
    schemas.propose(source, START + 6 * DAY)
    schemas.accept(source, actor="ana", reason="read")
    intake.take_in(source, ORDERS, START + 6 * DAY)
    intake.take_in(source, ORDERS, START + 7 * DAY)


def history() -> pl.DataFrame:
    """Eight days of orders; some of the last are spoilt. Made once: every fork reads it."""
    return pl.read_ipc(settings().home.parent / "history.arrow")


def make_history() -> pl.DataFrame:
    whole = pl.concat([orders(0, day=day, rows=100) for day in range(8)])
    spoilt = (pl.int_range(pl.len()) % (100 // SPOILT) == 0) & (pl.int_range(pl.len()) >= 704)
    return whole.with_columns(pl.when(spoilt).then(-1.0).otherwise("amount").alias("amount"))


def take_in(home: Path) -> None:
    tables._MOST_FILES = 1  # so that every trial compacts too
    intake.take_in(FrameSource(history(), home / "shop.json"), ORDERS, START + 8 * DAY)


def trial(folder: Path, template: Path, arm: Callable[[], object], delay: float | None) -> str:
    """Kill one intake, look at what it left, finish it; whether it left the table as before or as after."""
    home = folder / "trial"
    shutil.copytree(template, home)

    def killed() -> None:
        arm()
        take_in(home)

    child = fork(home, killed)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = folder / "left"
    in_a_fork(home, lambda: left.write_text(look_and_finish(home)))
    shutil.rmtree(home)
    return left.read_text()


def look_and_finish(home: Path) -> str:
    frame = history()
    arrived, end = frame.height, START + 8 * DAY
    good = frame.filter(pl.col("amount") > 0)
    before = good.filter(pl.col(CREATED) <= START + 7 * DAY)
    kept, horizon = tables.read("orders").sort("order_id"), tables.horizon("orders")
    held = quarantine.read("orders").height if tables.exists("quarantine_orders") else 0
    if horizon == end:
        assert kept.equals(good.sort("order_id")), "the table is not as after"
        assert held == arrived - good.height, "the quarantine is not as after"
    else:
        assert horizon == START + 7 * DAY, f"a horizon between: {horizon}"
        assert kept.equals(before.sort("order_id")), "the table is not as before"
        assert held == 0, "the quarantine is ahead of the table"
    take_in(home)
    assert tables.read("orders").sort("order_id").equals(good.sort("order_id")), "finishing lost or doubled a row"
    assert kept.height <= good.height
    assert quarantine.read("orders").height == arrived - good.height, "finishing lost or doubled a quarantined row"
    report = statistics.report("orders", end)
    assert report is not None, "a slice without a report"
    assert (report.kept, report.quarantined) == (good.height - before.height, arrived - good.height)
    assert statistics.at_version("orders", tables.version("orders")).rows == good.height, "the profile is of other rows"
    return "after" if horizon == end else "before"


def fork(home: Path, work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    os.environ["ESTEIRA_HOME"] = str(home)
    settings.cache_clear()
    status = 1
    try:
        work()
        status = 0
    except BaseException as error:  # noqa: BLE001  what a fork raises must not run on in the parent's program
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
    os._exit(status)


def in_a_fork(home: Path, work: Callable[[], object]) -> None:
    _, status = os.waitpid(fork(home, work), 0)
    if status:
        sys.exit(f"a promise was broken (status {status})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
