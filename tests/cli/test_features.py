"""``esteira features`` on a home of its own: the first days of 2013, ingested and applied."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from esteira.cli import app
from esteira.contract import utc
from esteira.errors import InputError, MissingData, NoRelease, UnknownName
from flows.steps import data
from tests.conftest import forget_home, use_home

pytestmark = pytest.mark.slow
NAME, AS_OF = "flight_delay", "2013-01-08T12:00:00Z"


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("week") / ".esteira"
    with pytest.MonkeyPatch.context() as patch:
        use_home(patch, home)
        for step in (data.append_raw, data.append_features):
            step.fn(NAME, utc(AS_OF))
        data.apply_feature_repository.fn()
        data.write_online.fn(NAME, utc(AS_OF))
        yield home
    forget_home()


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["features", *words], env={"COLUMNS": "240"})


def told(*words: str) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_list_names_every_feature_and_warns_of_none_that_is_shipped(week: Path) -> None:
    listed = told("list")
    for name in ("origin_dep_delay_mean_3h", "weather_visib", "plane_seats", "expected_knock_on_minutes"):
        assert name in listed
    assert "Warning" not in listed


def test_search_lists_definition_owner_freshness_and_users(week: Path) -> None:
    found = told("search", "dep_delay carrier 7 d")
    assert "mean of dep_delay over the last 7 d" in found
    assert "expires after 7 d" in found
    assert "newest 2013-01-08 " in found
    assert "flights@esteira.example" in found
    assert "flight_delay_v1; models: 0" in found
    assert "plane_seats" not in found


def lines(words: Sequence[str]) -> dict[str, str]:
    rows = (line.split("  ", 1) for line in told(*words).splitlines() if line.strip())
    return {row[0].strip(): row[-1].strip() for row in rows}


def test_show_tells_of_a_stored_feature_through_which_view_it_is_used(week: Path) -> None:
    shown = lines(["show", "aircraft_departed_at"])
    assert shown["definition"] == "last of left_at over the last 2 d in departures, per tailnum"
    assert shown["newest event"].startswith("2013-01-08 ")
    services = "flight_delay_v1, flight_duration_v1"  # an on-demand view is computed whole, whatever is asked of it
    assert (shown["read by"], shown["services"], shown["models"]) == ("flight_at_request", services, "none")


def test_show_tells_of_a_feature_computed_when_asked_what_it_means(week: Path) -> None:
    shown = lines(["show", "days_from_holiday"])
    assert shown["means"].startswith("Days since the nearest US holiday")
    assert shown["freshness"] == "computed when asked"
    assert "newest event" not in shown


def test_availability_tells_delay_and_missing_share_of_every_feature_of_the_service(week: Path) -> None:
    shown = told("availability", NAME, "--as-of", AS_OF)
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in shown.splitlines()
        if len(cells := line.split("│")) > 3
    }
    assert rows["weather_temp"][:4] == ["origin_weather", "yes", "5 min", "5 min"]
    assert rows["local_hour"] == ["flight_at_request", "yes", "", "", "", "0.0%"]
    assert {row[1] for row in rows.values()} == {"yes"}
    assert "questions until 2013-01-08 12:00 UTC" in shown


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("show", "spend"), UnknownName, "Unknown feature 'spend'"),
        (("search", "spend"), UnknownName, "No feature mentions 'spend'"),
        (("availability", "flight_dely", "--as-of", AS_OF), UnknownName, "Unknown use case 'flight_dely'"),
        (("availability", NAME, "--as-of", "soon"), InputError, "Cannot read 'soon' as a moment"),
    ],
)
def test_what_is_not_known_is_refused(week: Path, words: Sequence[str], error: type[Exception], message: str) -> None:
    refused = run(*words)
    assert isinstance(refused.exception, error)
    assert message in str(refused.exception)


def test_the_audit_of_a_use_case_that_was_never_released_says_so(home: Path) -> None:
    refused = CliRunner().invoke(app, ["skew", NAME, "--as-of", AS_OF])
    assert isinstance(refused.exception, NoRelease)
    assert not (home / "tables").exists()


def test_without_a_registry_the_list_says_how_to_get_one(home: Path) -> None:
    refused = run("list")
    assert isinstance(refused.exception, MissingData)
    assert "FLOW=ingest" in str(refused.exception)
    assert not home.exists()
