"""Train a challenger on what was known at a moment."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from esteira.training.recipe import Recipe
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import training as steps
from flows.steps.data import require_ingested
from flows.steps.plugged import run_plugged


class Trained(Frozen):
    """The challenger one run of train produced, and on what."""

    use_case: str
    as_of: datetime
    challenger: str
    cause: str
    training_set: str
    sentences: tuple[str, ...]


@flow(name="train", flow_run_name="train-{use_case}")
def train(
    use_case: str, as_of: datetime | None = None, request: str | None = None, recipe: Recipe | None = None
) -> Trained:
    """Labelled entities to training set to challenger, tracked and stored.

    1. Require that data was ingested up to ``as_of``.
    2. Find the cause: the monitor's request, or the schedule.
    3. Join features to every entity whose outcome is known, point in time.
    4. Split it by time; keep what each part holds.
    5. Judge the groups in it: enough rows, labels, values; represented as they ask.
    6. Fit the candidates, select one, measure it on the newest rows, store it with its card and reference profile.
       A ``recipe`` asks for one candidate, other parameters, or tuning first.
    7. Ring for validation.
    """
    moment = moment_of_run(as_of)
    require_ingested(use_case, moment)
    cause = steps.find_cause(use_case, request)
    training_set = steps.build_training_set(use_case, moment)
    parts = steps.split_training_set(use_case, moment, training_set)
    groups = steps.judge_training_groups(use_case, moment, training_set)
    challenger = steps.train_challenger(use_case, moment, training_set, cause, request, recipe)
    steps.ring_for_validation(use_case, moment, challenger)
    sentences = (*steps.describe(use_case, challenger), *parts, *groups)
    trained = Trained(
        use_case=use_case, as_of=moment, challenger=challenger, cause=cause, training_set=str(training_set),
        sentences=sentences,
    )  # fmt: skip
    publish(
        "trained",
        f"Challenger {challenger}",
        trained,
        sentences=sentences,
        plugged=run_plugged("train", use_case, moment, trained),
    )
    return trained
