"""The commands about models, on the belt's real one."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from esteira.cli.models import app
from esteira.errors import InputError, ReleaseError, UnknownName
from esteira.stores.model_store import models
from esteira.stores.model_store.models import Model
from esteira.stores.releases import ledger
from flows.steps.judging import Judgement
from flows.steps.release import release_challenger
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]


def told(*words: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_models_are_listed_and_shown_with_their_state(belt: Belt) -> None:
    listed = told("list")
    assert f"flight_delay:{belt.challenger}" in listed
    assert "live, release" in listed
    for name in (f"flight_delay:{belt.challenger}", belt.challenger):
        shown = told("show", name)
        assert belt.use_case.purpose in shown
        assert "log_loss" in shown
    assert told("show", "flight_delay:champion", "--json").startswith('{ "use_case"')
    with pytest.raises(UnknownName, match=f"Known: flight_delay:{belt.challenger}"):
        told("show", "2012-01-01-x")


def test_a_card_is_a_page_that_needs_nothing_else(belt: Belt, tmp_path: Path) -> None:
    told("card", belt.challenger, "-o", str(tmp_path))
    name = f"flight_delay-{belt.challenger}"
    markdown, html = (tmp_path / f"{name}.md").read_text(), (tmp_path / f"{name}.html").read_text()
    card = models.load("flight_delay", belt.challenger).card
    for page in (markdown, html):
        for title in ("Purpose", "Limits", "Approvals", "Data", "Slices", "Features and reference profile"):
            assert title in page
        assert card.code_commit in page
        assert f"{card.metrics['auc'].low:.4f}" in page
        assert f"Release {belt.release} on" in page
        assert all(column.name in page for column in card.columns)
        assert "origin=JFK" in page
    assert html.count("data:image/png;base64,") == 4
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", markdown):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert "## Limits" in CliRunner().invoke(app, ["card", belt.challenger], catch_exceptions=False).output


@pytest.mark.parametrize("form", ["onnx", "xgb-json"])
def test_the_real_model_is_exported_and_never_over_what_is_there(belt: Belt, tmp_path: Path, form: str) -> None:
    told("export", belt.challenger, "--format", form, "-o", str(tmp_path))
    (folder,) = tmp_path.iterdir()
    assert {"README.md", "golden.json"} < {each.name for each in folder.iterdir()}
    with pytest.raises(InputError, match="exists already"):
        told("export", belt.challenger, "--format", form, "-o", str(tmp_path))
    with pytest.raises(UnknownName, match=r"format 'pickle'. Known: onnx, xgb-json"):
        told("export", belt.challenger, "--format", "pickle", "-o", str(tmp_path))


def test_a_model_whose_card_lacks_a_field_or_a_file_is_not_released_even_by_direct_call(
    belt: Belt, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = models.load("flight_delay", belt.challenger)
    live = ledger.live("flight_delay")
    verdict = live.evidence
    judged = Judgement.model_validate({"verdict": verdict, "against": 0})
    incomplete = Model(
        whole.card.model_copy(update={"limits": ()}), whole.card_sha256, whole.pipeline, whole.path,
        {name: content for name, content in whole.attachments.items() if name != "golden.json"},
    )  # fmt: skip

    def load(*_: Any, **__: Any) -> Model:
        return incomplete

    monkeypatch.setattr(models, "load", load)
    with pytest.raises(ReleaseError, match=r"its card lacks limits, golden.json"):
        release_challenger.fn("flight_delay", belt.challenger, judged, belt.as_of)
    assert ledger.live("flight_delay") == live
