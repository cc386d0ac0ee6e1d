"""``esteira train``: train a challenger by hand, with a candidate, parameters or a tuning budget of one's choice."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import InputError

console = Console()


def train(
    use_case: Annotated[str, typer.Argument(help="A use case, such as flight_delay.")],
    as_of: Annotated[str, typer.Option(help="Train on what was known at this moment, e.g. 2013-04-01.")],
    model: Annotated[str | None, typer.Option(help="Only this candidate, e.g. boosted_trees.")] = None,
    params: Annotated[Path | None, typer.Option(help="JSON file with parameters for that candidate.")] = None,
    tune_trials: Annotated[int | None, typer.Option(help="Search for parameters first: so many trials each.")] = None,
    tune_seconds: Annotated[float | None, typer.Option(help="… and no longer than this, all together.")] = None,
) -> None:
    """Train a challenger as the schedule would, or with another model, other parameters, or tuned ones."""
    from esteira.cli import belt
    from esteira.training.recipe import Budget, Recipe, resolve

    declared, moment = use_cases.get(use_case), utc(as_of)
    tuning = None
    if tune_trials is not None or tune_seconds is not None:
        tuning = Budget(
            trials=20 if tune_trials is None else tune_trials, seconds=600 if tune_seconds is None else tune_seconds
        )
        tuning.require_some()
    recipe = Recipe(candidate=model, parameters=_read(params) if params else {}, tuning=tuning)
    resolve(declared, recipe, None)  # what is not declared is refused before a server is started
    belt.use_running_server()
    with console.status(f"[cyan]train {use_case} as of {moment:%Y-%m-%d %H:%M} UTC …"):
        record = belt.flow("train")(use_case=use_case, as_of=moment, recipe=recipe)
    console.print("\n".join(belt.told(record)), highlight=False, soft_wrap=True, markup=False)


def _read(file: Path) -> dict[str, Any]:
    expected = 'Expected a JSON object of parameter names and values, such as {"depth": 5, "trees": 400}.'
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read parameters from {file}: {error}. {expected}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file} holds a {type(found).__name__}. {expected}")
    return found
