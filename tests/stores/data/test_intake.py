"""Slices on their way into a raw table: what is kept, what is kept apart, and that nothing is lost or doubled."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.contract import CREATED, EVENT, utc
from esteira.data.schema import POLICY
from esteira.errors import DataError, InputError, MissingData, UnknownName, WrongColumns
from esteira.settings import REPOSITORY, child_environment
from esteira.stores import audit
from esteira.stores.data import intake, quarantine, schemas, statistics, tables
from tests.conftest import use_home
from tests.data.orders import ORDERS, START, FrameSource, orders

DAYS = [START + timedelta(days=day) for day in range(30)]
HISTORY = pl.concat([orders(0, day=day) for day in range(8)])


@pytest.fixture
def source(home: Path, tmp_path: Path) -> FrameSource:
    """A source whose schema was proposed from six days and accepted."""
    made = FrameSource(HISTORY, tmp_path / "shop.json")
    schemas.propose(made, DAYS[6])
    schemas.accept(made, actor="ana", reason="read")
    return made


def spoil(source: FrameSource, spoiled: pl.Expr, *, day: int = 7, every: int = 50) -> int:
    """Replace a column in every ``every``-th record of a day; the number of records spoiled."""
    hit = (pl.col(CREATED) > DAYS[day]) & (pl.int_range(pl.len()) % every == 0)
    source.frame = source.frame.with_columns(pl.when(hit).then(spoiled).otherwise(pl.col(spoiled.meta.output_name())))
    return int(source.frame.select(hit.sum()).item())


def take_in(source: FrameSource, day: int) -> statistics.SliceReport:
    (report,) = intake.take_in(source, ORDERS, DAYS[day])
    return report


def test_sound_slices_are_kept_whole_and_the_same_slice_twice_is_the_same_version(source: FrameSource) -> None:
    first, second = take_in(source, 7), take_in(source, 8)
    assert (first.arrived, first.kept, first.quarantined) == (7 * 400, 7 * 400, 0)
    assert second.kept == 400
    assert {each.outcome for each in second.findings} == {"pass"}
    version = tables.version("orders")
    assert intake.take_in(source, ORDERS, DAYS[8]) == ()
    assert intake.take_in(source, ORDERS, DAYS[3]) == (), "an older slice that comes again is left out"
    assert tables.version("orders") == version
    assert tables.read("orders").sort("order_id").equals(HISTORY.sort("order_id"))


def test_offending_rows_are_kept_apart_with_reason_and_place_and_counts_reconcile(source: FrameSource) -> None:
    take_in(source, 7)
    spoilt = spoil(source, pl.lit(-5.0).alias("amount"))
    report = take_in(source, 8)
    assert (report.arrived, report.kept, report.quarantined) == (400, 400 - spoilt, spoilt)
    held = quarantine.read("orders")
    assert held["reason"].str.contains("amount: range").all()
    assert held["source_position"].str.contains(r"^shop.orders row \d+ of its slice$").all()
    assert (held["slice_until"] == DAYS[8]).all()
    assert tables.read("orders")["amount"].min() > 0  # type: ignore[operator]


def test_a_slice_that_fails_leaves_everything_as_it_was(source: FrameSource) -> None:
    take_in(source, 7)
    before = tables.versions(tables.names())
    source.frame = source.frame.with_columns(
        pl.when(pl.col(CREATED) > DAYS[7]).then(None).otherwise("note").alias("note")
    )
    with pytest.raises(DataError, match=r"(?s)orders.note: null share: expected at most .* found 100.0% of 400 rows"):
        take_in(source, 8)
    assert tables.versions(tables.names()) == before
    source.frame = HISTORY
    assert take_in(source, 8).kept == 400, "it goes on from the last good slice"


def test_values_in_another_unit_are_refused_as_moved(source: FrameSource) -> None:
    take_in(source, 7)
    source.frame = source.frame.with_columns(
        pl.when(pl.col(CREATED) > DAYS[7]).then(pl.col("amount") / 4).otherwise("amount").alias("amount")
    )
    with pytest.raises(DataError, match=r"orders.amount: shift: expected a distance of at most .* version before"):
        take_in(source, 8)


def test_hours_are_judged_together_as_a_day(source: FrameSource) -> None:
    take_in(source, 7)
    for hour in range(1, 25):
        (report,) = intake.take_in(source, ORDERS, DAYS[7] + timedelta(hours=hour))
    shifts = [each for each in report.findings if each.rule == "shift"]
    assert shifts
    assert {each.rows for each in shifts} == {400}
    assert {each.outcome for each in shifts} == {"pass"}


def test_an_empty_slice_moves_the_horizon_and_is_reported(source: FrameSource) -> None:
    take_in(source, 8)
    report = take_in(source, 9)
    assert (report.arrived, tables.horizon("orders")) == (0, DAYS[9])
    assert [each.outcome for each in report.findings if each.rule == "silence"] == ["warn"]
    assert statistics.report("orders", DAYS[9]) == report


def test_records_that_came_late_are_refused_not_lost(source: FrameSource) -> None:
    late = HISTORY.sample(3, seed=1)
    source.frame = HISTORY.join(late, on="order_id", how="anti")
    take_in(source, 8)
    source.frame = HISTORY
    with pytest.raises(DataError, match="3 records of table 'orders' came late"):
        take_in(source, 9)
    source.frame = pl.concat(
        [
            HISTORY.join(late, on="order_id", how="anti"),
            late.with_columns(pl.lit(DAYS[8] + timedelta(hours=1)).alias(CREATED)),
        ]
    )
    assert take_in(source, 9).arrived == 3, "with the time they came as, they come in"


def test_a_first_slice_without_a_schema_proposes_one_and_a_second_waits_for_a_person(
    home: Path, tmp_path: Path
) -> None:
    source = FrameSource(HISTORY, tmp_path / "shop.json")
    take_in(source, 7)
    assert schemas.proposed(source).tables["orders"].columns["shop"].categories == ("north", "south", "west")
    with pytest.raises(DataError, match=r"(?s)nobody has accepted.*shop.json"):
        take_in(source, 8)
    schemas.accept(source, actor="ana", reason="read")
    assert take_in(source, 8).kept == 400
    with pytest.raises(MissingData, match="No schema of source 'shop' is proposed"):
        schemas.proposed(source)


def test_a_changed_column_is_refused_and_shown_before_anything_is_written(source: FrameSource) -> None:
    take_in(source, 7)
    before = tables.versions(tables.names())
    source.frame = HISTORY.rename({"amount": "total"})
    with pytest.raises(WrongColumns, match=r'(?s)amount: gone, was "Float64".*total: new, "Float64"'):
        take_in(source, 8)
    source.frame = HISTORY.cast({"items": pl.Float64})
    with pytest.raises(WrongColumns, match='items: "Int64" becomes "Float64"'):
        take_in(source, 8)
    assert tables.versions(tables.names()) == before


def test_every_version_has_the_profile_of_what_it_holds(source: FrameSource) -> None:
    take_in(source, 7)
    take_in(source, 8)
    early, late = statistics.at_version("orders", 0), statistics.at_version("orders", 1)
    assert (early.rows, late.rows) == (7 * 400, 8 * 400)
    assert late.column("amount").mean == pytest.approx(HISTORY["amount"].mean())
    assert "order_id" not in late.columns, "what names single things is not profiled"


# releases


def test_released_rows_come_in_with_the_next_slice_as_new_knowledge_once(source: FrameSource) -> None:
    take_in(source, 7)
    spoilt = spoil(source, pl.lit(9_999.0).alias("amount"))
    take_in(source, 8)
    ids = quarantine.read("orders")["quarantine_id"].to_list()
    moment = quarantine.release("orders", ids[:2], actor="ana", reason="a wholesale order", now=DAYS[2])
    assert moment > DAYS[8], "never earlier than what was already taken in"
    report = take_in(source, 9)
    assert (report.arrived, report.readmitted) == (0, 2)
    came = tables.read("orders", created_after=DAYS[8])
    assert (came["amount"] == 9_999.0).all()
    assert came[CREATED].to_list() == [moment, moment + timedelta(microseconds=1)]
    assert (came[EVENT] < DAYS[8]).all()
    assert quarantine.read("orders")["released_at"].null_count() == spoilt - 2
    assert [each.reason for each in audit.entries(action="released from quarantine")] == ["a wholesale order"]
    assert take_in(source, 10).readmitted == 0
    assert tables.row_count("orders") == 8 * 400 - spoilt + 2


def test_a_release_is_refused_without_reason_without_rows_twice_or_for_what_is_not_there(source: FrameSource) -> None:
    with pytest.raises(MissingData, match="Nothing of table 'orders' was ever quarantined"):
        quarantine.read("orders")
    take_in(source, 7)
    spoil(source, pl.lit(9_999.0).alias("amount"))
    take_in(source, 8)
    name = quarantine.read("orders")["quarantine_id"][0]
    for ids, reason in (([name], " "), ([], "because")):
        with pytest.raises(InputError, match="needs rows and a reason"):
            quarantine.release("orders", ids, actor="ana", reason=reason, now=DAYS[8])
    with pytest.raises(UnknownName, match="nonsense"):
        quarantine.release("orders", ["nonsense"], actor="ana", reason="because", now=DAYS[8])
    quarantine.release("orders", [name], actor="ana", reason="because", now=DAYS[8])
    with pytest.raises(InputError, match="released already"):
        quarantine.release("orders", [name], actor="ana", reason="because", now=DAYS[9])


def test_a_release_that_an_ingest_under_way_passed_unseen_comes_in_later(
    source: FrameSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(source, 7)
    spoil(source, pl.lit(9_999.0).alias("amount"))
    take_in(source, 8)
    name = quarantine.read("orders")["quarantine_id"][0]
    append, passed = tables.append, []

    def append_and_be_passed(table: str, *asked: object, **named: object) -> int:
        version = append(table, *asked, **named)  # type: ignore[arg-type]
        if table == "released_orders" and not passed:
            with monkeypatch.context() as patch:  # an ingest that has looked for released rows before there was one
                patch.setattr(quarantine, "arriving", lambda *_: pl.DataFrame(schema=ORDERS.schema))
                passed.append(take_in(source, 9))
        return version

    monkeypatch.setattr(tables, "append", append_and_be_passed)
    moment = quarantine.release("orders", [name], actor="ana", reason="a wholesale order", now=DAYS[8])
    assert passed[0].readmitted == 0
    assert moment > DAYS[9]
    assert take_in(source, 10).readmitted == 1
    assert tables.read("orders").filter(pl.col("amount") == 9_999.0).height == 1


# broken off


def test_a_slice_whose_quarantine_was_written_is_finished_first_with_the_same_rows(
    source: FrameSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(source, 7)
    spoilt = spoil(source, pl.lit(9_999.0).alias("amount"))
    with monkeypatch.context() as patch:
        patch.setattr(tables, "append", _killed_at("orders"))
        with pytest.raises(KeyboardInterrupt):
            take_in(source, 8)
    assert quarantine.read("orders").is_empty(), "what never came in is not held either"
    assert tables.horizon("orders") == DAYS[7]
    schema = schemas.accepted(source)
    assert schema is not None
    orders_schema = schema.tables["orders"].model_copy(update={"policy": {**POLICY, "range": "warn"}})
    source.schema_file.write_text(schemas.to_text(schema.model_copy(update={"tables": {"orders": orders_schema}})))
    finished, new = intake.take_in(source, ORDERS, DAYS[9])
    assert (finished.until, finished.kept, finished.quarantined) == (DAYS[8], 400 - spoilt, spoilt)
    assert (new.after, new.until) == (DAYS[8], DAYS[9])
    assert tables.row_count("orders") + quarantine.read("orders").height == 8 * 400


def _killed_at(table: str):  # type: ignore[no-untyped-def]
    append = tables.append

    def killed(name: str, *asked: object, **named: object) -> int:
        if name == table:
            raise KeyboardInterrupt
        return append(name, *asked, **named)  # type: ignore[arg-type]

    return killed


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 2399), st.sampled_from(["negative", "unseen", "nan", "future", "null", "twice"])),
        max_size=40,
    ),
    st.lists(st.integers(1, 24 * 6), min_size=1, max_size=5, unique=True),
)
def test_arrived_is_kept_and_quarantined_however_the_time_is_cut(
    tmp_path_factory: pytest.TempPathFactory, spoiled: list[tuple[int, str]], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        use_home(patch, folder / "home")
        source = FrameSource(HISTORY, folder / "shop.json")
        schemas.propose(source, DAYS[6])
        mild = {**POLICY, "shift": "warn", "null share": "warn"}
        proposed = (
            schemas.proposed(source).tables["orders"].model_copy(update={"policy": mild, "quarantined_share": 1.0})
        )
        source.schema_file.write_text(schemas.to_text(schemas.SourceSchema(source="shop", tables={"orders": proposed})))
        source.frame = _spoiled(HISTORY.head(2400), spoiled)
        reports = [
            each for cut in sorted(cuts) for each in intake.take_in(source, ORDERS, START + timedelta(hours=cut))
        ]
        arrived = source.count("orders", START + timedelta(hours=max(cuts)))
        kept = tables.read("orders")
        held = quarantine.read("orders").height if tables.exists("quarantine_orders") else 0
        assert sum(each.arrived for each in reports) == arrived == kept.height + held
        assert sum(each.quarantined for each in reports) == held
        assert kept.filter(
            ~pl.col("amount").is_finite() | (pl.col("amount") < 0) | (pl.col("shop") == "mars")
        ).is_empty()
        assert kept.select("order_id", EVENT, CREATED).is_unique().all()


def _spoiled(frame: pl.DataFrame, spoiled: list[tuple[int, str]]) -> pl.DataFrame:
    rows = frame.to_dicts()
    for place, how in spoiled:
        row = rows[place]
        match how:
            case "negative":
                row["amount"] = -1.0
            case "unseen":
                row["shop"] = "mars"
            case "nan":
                row["amount"] = float("nan")
            case "future":
                row[EVENT] = utc("2100-01-01")
            case "null":
                row["amount"] = None
            case "twice":
                rows.append(dict(row))
    return pl.DataFrame(rows, schema=frame.schema).sort(CREATED)


AT_ONCE = """
import sys
from datetime import timedelta
from pathlib import Path
from esteira.errors import DataError
from esteira.stores.data import intake
from tests.stores.data.test_intake import DAYS, HISTORY, ORDERS, FrameSource

source = FrameSource(HISTORY, Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for hour in range(1, 7):
    try:
        intake.take_in(source, ORDERS, DAYS[7] + timedelta(hours=2 * hour - int(sys.argv[2])))
    except DataError as error:
        assert "at the same time" in str(error), error
"""


@pytest.mark.slow
def test_of_two_intakes_at_once_no_row_is_lost_or_doubled(source: FrameSource) -> None:
    take_in(source, 7)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(source.schema_file), ahead], env=child_environment(), cwd=REPOSITORY,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for ahead in ("0", "1")
    ]  # fmt: skip
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [each.communicate(timeout=250) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    take_in(source, 8)
    assert tables.read("orders").sort("order_id").equals(HISTORY.sort("order_id"))
