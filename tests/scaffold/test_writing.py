"""All files of a new use case are written, or none; nothing that is there is overwritten."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from esteira.errors import DataError, InputError
from esteira.scaffold.plan import plan
from esteira.scaffold.writing import require_free, write
from esteira.settings import REPOSITORY, settings
from tests.scaffold.test_plan import stations, wanted


@pytest.fixture
def checkout(tmp_path: Path, home: Path) -> Iterator[Path]:
    """As much of a checkout as is written to."""
    folder = tmp_path / "checkout"
    for file in ("src/esteira/use_cases/__init__.py", "prefect.yaml"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / file, folder / file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESTEIRA_REPOSITORY", str(folder))
        settings.cache_clear()
        yield folder
    settings.cache_clear()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_five_places_are_written_and_listed(checkout: Path, tmp_path: Path) -> None:
    before = files(checkout)
    written = write(plan(wanted(tmp_path, stations())))
    after = files(checkout)
    assert set(after) - set(before) == {str(path) for path in written.made}
    assert {Path(each).parts[0] for each in after} == {"src", "feature_repo", "bentos", "prefect.yaml"}
    assert b'"heat_ahead": "esteira.use_cases.heat_ahead",\n}' in after["src/esteira/use_cases/__init__.py"]
    assert after["prefect.yaml"].count(b"parameters: {use_case: heat_ahead}") == 5
    for name, text in after.items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_batch_only_has_no_service(checkout: Path, tmp_path: Path) -> None:
    write(plan(wanted(tmp_path, stations(), is_served=False)))
    assert not (checkout / "bentos").exists()
    assert "is_served=False" in (checkout / "src/esteira/use_cases/heat_ahead/__init__.py").read_text()


def test_nothing_is_overwritten(checkout: Path, tmp_path: Path) -> None:
    theirs = checkout / "feature_repo" / "heat_ahead.py"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    before = files(checkout)
    with pytest.raises(InputError, match=r"feature_repo/heat_ahead\.py exists already, and nothing is overwritten"):
        write(plan(wanted(tmp_path, stations())))
    assert files(checkout) == before


def test_a_registry_of_another_shape_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    (checkout / "src/esteira/use_cases/__init__.py").write_text("USE_CASES = []\n")
    before = files(checkout)
    with pytest.raises(DataError, match="Nothing was written"):
        write(plan(wanted(tmp_path, stations())))
    assert files(checkout) == before


def test_what_fails_halfway_leaves_nothing(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(checkout)
    monkeypatch.setattr("esteira.scaffold.writing._schema", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(plan(wanted(tmp_path, stations())))
    assert files(checkout) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Hourly", "cannot name a use case"),
        ("class", "cannot name a use case"),
        ("../up", "cannot name a use case"),
        ("flight_delay", "There is a use case 'flight_delay' already"),
        ("json", "is the name of a Python module"),
    ],
)
def test_a_name_that_cannot_be_is_refused(checkout: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        require_free(name)
