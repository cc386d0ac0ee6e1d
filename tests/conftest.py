"""What every test gets: a home of its own, so that no test sees another's state or the developer's."""

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import hypothesis
import pytest

from esteira.contract import UseCase, utc
from esteira.settings import prepare_environment, settings

collect_ignore = ["outside"]  # a package of its own, not tests

# Whatever a test imports may look for a home; the developer's own is never touched.
os.environ["ESTEIRA_HOME"] = tempfile.mkdtemp(prefix="esteira-tests-")
# Two cores may be busy: how long an example takes says nothing.
hypothesis.settings.register_profile("esteira", deadline=None)
hypothesis.settings.load_profile("esteira")
# Prefect's server logs its own end to a stream that pytest has closed by then.
prepare_environment(PREFECT_LOGGING_LEVEL="CRITICAL", PREFECT_LOGGING_TO_API_ENABLED="false")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How thoroughly a service is fuzzed: generating a request takes about a tenth of a second."""
    parser.addoption("--generated-requests", type=int, default=400, help="requests to fuzz a service with")
    parser.addoption("--random-kills", type=int, default=100, help="random kills of a release, besides every point")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty home for the belt's state, for this test only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ESTEIRA_CLOCK", raising=False)  # the shared belt of other tests tells its own time
        use_home(patch, tmp_path / "home")
        yield tmp_path / "home"
    forget_home()


@dataclass(frozen=True)
class Belt:
    """A belt that ran once, flow by flow, on the first real flights of 2013."""

    home: Path
    use_case: UseCase
    as_of: datetime
    challenger: str
    release: int


@pytest.fixture(scope="session")
def belt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Belt]:
    """Ingest, train, validate and precompute as of 1 March, under Prefect; for slow tests to share."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    from esteira import use_cases
    from flows.ingest import ingest
    from flows.precompute import precompute
    from flows.train import train
    from flows.validate import validate

    home, as_of, name = tmp_path_factory.mktemp("belt") / ".esteira", utc("2013-03-01T05:00:00Z"), "flight_delay"
    with (
        pytest.MonkeyPatch.context() as patch,
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        use_home(patch, home)
        patch.setenv("ESTEIRA_CLOCK", "belt")
        ingest(name, as_of)
        trained = train(name, as_of)
        validated = validate(name, as_of, challenger=trained.challenger)
        assert validated.release is not None, validated.verdict.sentences
        precompute(name, as_of)
        yield Belt(home, use_cases.get(name), as_of, trained.challenger, validated.release)
    forget_home()


def use_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Make ``home`` the place of all state until the patch is undone."""
    patch.setenv("ESTEIRA_HOME", str(home))
    forget_home()


def forget_home() -> None:
    """Forget what was read of the home that was."""
    settings.cache_clear()
    # Feast takes seconds to import: only if a test has done it
    features = sys.modules.get("esteira.stores.feature_store.features")
    if features is not None:
        features.open_store.cache_clear()
