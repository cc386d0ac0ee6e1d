from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from esteira.contract import MOMENT, utc
from esteira.model_card import Column
from esteira.monitoring.profile import build_profile, read_profile
from esteira.stores.monitoring import hours, profiles

START = utc("2013-03-01")
END = START + timedelta(hours=6)
COLUMNS = (Column(name="delay", type="number", view="v"), Column(name="carrier", type="category", view="v"))
Row = tuple[datetime, int, str | None, float | None, str]


def served(*rows: Row) -> pl.DataFrame:
    schema = {"as_of": MOMENT, "release": pl.Int64, "segment": pl.String, "delay": pl.Float64, "carrier": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def at(minutes: float, *, delay: float = 1.0, segment: str | None = "JFK", release: int = 1) -> Row:
    return START + timedelta(minutes=minutes), release, segment, delay, "UA"


def update(*rows: Row) -> int:
    return hours.profile_hours("flight_delay", served(*rows), COLUMNS, after=START, until=END)


def counted(segment: str | None = None, until: datetime = END, release: int = 1) -> int:
    profile = hours.profile_of("flight_delay", [release], START, until, segment=segment)
    return read_profile(profile).rows if profile else 0


rows = st.lists(
    st.tuples(
        st.integers(1, 360).map(lambda minute: START + timedelta(minutes=minute)),
        st.sampled_from([1, 2]),
        st.sampled_from(["JFK", "EWR", None]),
        st.one_of(st.none(), st.floats(-1e6, 1e6)),
        st.sampled_from(["UA", "B6"]),
    ),
    max_size=40,
)


@given(rows, st.integers(0, 40))
@hypothesis(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_pieces_rows_come_hours_sum_up_to_the_profile_of_all(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, every: list[Row], first: int
) -> None:
    folder = tmp_path_factory.mktemp("hours")
    monkeypatch.setattr(profiles, "_folder", lambda use_case: folder / use_case)
    update(*every[:first])
    update(*every)
    assert update(*every) == 0
    for release in (1, 2):
        frame = served(*every).filter(pl.col("release") == release)
        assert counted(release=release) == frame.height
        for segment in ("JFK", "EWR", ""):
            mine = frame.filter(pl.col("segment").fill_null("") == segment)
            assert counted(segment, release=release) == mine.height
        if frame.height:
            summed = hours.profile_of("flight_delay", [release], START, END)
            whole = read_profile(build_profile(frame, COLUMNS)).column("delay")
            found = read_profile(summed or b"").column("delay")
            assert (found.missing, found.lowest, found.highest) == (whole.missing, whole.lowest, whole.highest)
            assert found.mean == (whole.mean and pytest.approx(whole.mean, abs=1e-6))
            assert found.quantiles.tolist() == whole.quantiles.tolist()


def test_only_the_hour_that_got_a_row_is_profiled_again(home: Path) -> None:
    assert update(at(10), at(60), at(61)) == 2
    assert [(each.start.hour, each.rows) for each in profiles.list_windows("flight_delay")] == [(0, 2), (1, 1)]
    assert update(at(10), at(60), at(61), at(119, segment="EWR"), at(119)) == 2
    assert (counted(), counted("EWR"), counted(until=START + timedelta(hours=1))) == (5, 1, 2)


def test_rows_that_are_gone_from_the_log_are_gone_from_the_profiles(home: Path) -> None:
    update(at(10), at(70))
    assert update(at(70)) == 1
    assert counted() == 1


def test_a_damaged_profile_is_built_again_and_said_so(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    update(at(10), at(70))
    path = home / "profiles" / "flight_delay" / profiles.list_windows("flight_delay")[0].name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert update(at(10), at(70)) == 1
    assert "is damaged" in caplog.text
    assert counted() == 2


def test_one_infinity_does_not_swallow_the_rest_and_a_long_segment_gets_no_long_name(home: Path) -> None:
    update(at(10, delay=float("inf")), at(20, delay=3.0, segment="x" * 500))
    profile = hours.profile_of("flight_delay", [1], START, END)
    found = read_profile(profile or b"").column("delay")
    assert (found.count, found.infinite, found.mean) == (2, 1, 3.0)
    assert sorted(each.segment for each in profiles.list_windows("flight_delay")) == ["(other)", "JFK"]


def test_a_window_without_traffic_has_no_profile(home: Path) -> None:
    assert update() == 0
    assert hours.profile_of("flight_delay", [1], START, END) is None
