"""``esteira reproduce``: build a stored model again from what its card names, and compare it byte for byte."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from esteira.errors import ModelError
from esteira.model_card import ModelCard
from esteira.settings import child_environment, settings

console = Console()
_KEPT = ("tables", "bentoml", "training_sets")
"""What a rebuild reads of the home; the rest of it, the feature registry above all, may belong to other code."""
_IN_CHILD = """
import sys
from esteira.cli import main
from esteira.stores.feature_store import features
features.apply()
sys.argv = ["esteira", "reproduce", sys.argv[1], "--this-code"]
main()
"""


def reproduce(
    model: Annotated[str, typer.Argument(help="A model, such as flight_delay:2013-03-01-0123456789.")],
    this_code: Annotated[
        bool, typer.Option("--this-code", help="Use this checkout's code, whatever commit the card names.")
    ] = False,
) -> None:
    """Rebuild a model with the code, data and seed its card names; fails unless every byte is the same."""
    from esteira.cli.models import card_of
    from esteira.stores import code
    from esteira.stores.feature_store import features

    card = card_of(model)
    same_code = code.digest() == card.code_sha256
    if (this_code or same_code) and features.is_applied():
        _rebuild_here(card)
    elif this_code or same_code:
        console.print("The feature registry was applied from other code: one is made for the rebuild.")
        _rebuild_with(settings().repository, card)
    else:
        console.print(f"Trained with commit {card.code_commit}; this checkout differs, so that commit is checked out.")
        with code.checked_out(card.code_commit) as checkout:
            _rebuild_with(checkout, card)


def _rebuild_here(card: ModelCard) -> None:
    from flows.steps.reproduction import rebuild

    with console.status("[cyan]Joining the training set and fitting the model again …"):
        rebuilt = rebuild(card.use_case, card.version)
    console.print(*rebuilt.sentences, sep="\n", markup=False, highlight=False, soft_wrap=True)
    if not rebuilt.is_same:
        raise ModelError(
            f"{rebuilt.model} could not be reproduced: {rebuilt.sentences[-2]} Expected the same bytes. "
            "What is not as it was then is named above."
        )


def _rebuild_with(checkout: Path, card: ModelCard) -> None:
    """Let the code in ``checkout`` rebuild the model, in a home of its own that shares tables and models."""
    with tempfile.TemporaryDirectory(prefix="esteira-home-") as folder:
        for name in _KEPT:
            if (settings().home / name).exists():
                (Path(folder) / name).symlink_to(settings().home / name)
        environment = child_environment(
            ESTEIRA_HOME=folder, ESTEIRA_REPOSITORY=str(checkout), PYTHONPATH=f"{checkout / 'src'}:{checkout}"
        )
        ended = subprocess.run(
            [sys.executable, "-c", _IN_CHILD, f"{card.use_case}:{card.version}"], cwd=checkout, env=environment,
            check=False,
        )  # fmt: skip
    if ended.returncode:
        raise typer.Exit(ended.returncode)
