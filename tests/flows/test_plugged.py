"""Steps of other packages: installed, they run in their flow; what cannot be one is refused with its name."""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from esteira.contract import utc
from esteira.errors import InputError
from esteira.model_card import Frozen
from flows.plain import plain_python
from flows.steps import plugged

AS_OF = utc("2024-01-01")


class Record(Frozen):
    use_case: str
    as_of: datetime


RECORD = Record(use_case="any", as_of=AS_OF)


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """A package with three functions; its metadata is for each test to write."""
    (tmp_path / "brought.py").write_text(
        "def seen(use_case, as_of, record):\n"
        "    return {'use_case': use_case, 'year': as_of.year, 'of': record.use_case}\n"
        "def odd(use_case, as_of, record):\n    return {'what': object()}\n"
        "def failing(use_case, as_of, record):\n    raise RuntimeError('no')\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        yield tmp_path
    sys.modules.pop("brought", None)
    plugged.registered.cache_clear()


def install(package: Path, *steps: str) -> None:
    metadata = package / "brought-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join([f"[{plugged.GROUP}]", *steps]) + "\n")
    plugged.registered.cache_clear()


def run(flow: str) -> dict[str, Any]:
    with plain_python():
        return plugged.run_plugged(flow, "any", AS_OF, RECORD)


def test_a_step_runs_in_its_own_flow_only_and_its_outputs_are_returned(package: Path) -> None:
    install(package, "train.seen = brought:seen")
    assert run("train") == {"seen": {"use_case": "any", "year": 2024, "of": "any"}}
    assert run("ingest") == {}


def test_what_a_step_raises_stops_the_flow(package: Path) -> None:
    install(package, "train.failing = brought:failing")
    with pytest.raises(RuntimeError, match="no"):
        run("train")


def test_outputs_that_cannot_be_kept_are_refused(package: Path) -> None:
    install(package, "train.odd = brought:odd")
    with pytest.raises(InputError, match=r"'train\.odd' \(brought:odd\) returned .* Expected a mapping"):
        run("train")


@pytest.mark.parametrize("name", ["seen", "bake.seen", "train.", "train.a b"])
def test_a_step_of_no_flow_is_refused(package: Path, name: str) -> None:
    install(package, f"{name} = brought:seen")
    with pytest.raises(InputError, match=r"belongs to no flow\. Expected <flow>\.<step>"):
        run("train")
