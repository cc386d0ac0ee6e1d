"""Tune a candidate's parameters on time-ordered folds of the training rows, within a budget. The only room of Optuna.

Every trial is drawn from a sampler seeded by the run's seed and the number of trials finished before it, and each
finished fold is kept at once. So a search that was killed goes on where it was and finds what it would have found.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import polars as pl
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from esteira.contract import PRIMARY, Range, UseCase
from esteira.errors import InputError, ModelError
from esteira.model_card import Column, Frozen
from esteira.training.learn import Where
from esteira.training.recipe import Budget, Entrant
from esteira.training.select import Fold, folds, loss_on

FOLDS = 3
_BEFORE_PRUNING = 4
"""Trials that run through all folds before any is compared with their median and given up early."""
_REFUSED, _SECONDS = "refused", "seconds"
_OPEN = (TrialState.RUNNING, TrialState.WAITING)


class Trial(Frozen):
    """One set of parameters that was tried: the mean loss over the folds it was seen on, unless it was refused."""

    candidate: str
    number: int
    state: str
    """``complete``, ``pruned`` after too high a loss on the first folds, or ``refused`` with a prediction unfit."""
    loss: float | None
    folds: int
    seconds: float
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Tuned:
    """Entrants with the best parameters found, and every trial, in order."""

    entrants: tuple[Entrant, ...]
    trials: tuple[Trial, ...]


def tune(
    use_case: UseCase,
    entrants: Sequence[Entrant],
    train: pl.DataFrame,
    columns: Sequence[Column],
    *,
    budget: Budget,
    where: Where,
    storage: Path,
    search: str,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Search the declared parameters of every entrant on the training rows alone; the holdout is not given here.

    ``storage`` is the SQLite file that keeps trials, ``search`` names all that makes their losses comparable (data,
    code, seed): under the same name a search goes on, and trials count towards the budget.

    At least one trial runs per candidate; another starts only if the longest so far would still end in time.

    Raises InputError when the budget is zero, or no entrant declares what may be tried.
    """
    budget.require_some()
    searched = [each for each in entrants if each.candidate.search]
    if not searched:
        raise InputError(
            f"Nothing can be tuned: {', '.join(each.name for each in entrants)} declare no search space. "
            "Declare one with the candidate (search=), or train without tuning."
        )
    rows = folds(use_case, train, FOLDS)
    found: list[Entrant] = []
    trials: list[Trial] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage.parent.mkdir(parents=True, exist_ok=True)
        kept = optuna.storages.RDBStorage(f"sqlite:///{storage}", engine_kwargs={"connect_args": {"timeout": 60}})
        for entrant in entrants:
            if entrant not in searched:
                found.append(entrant)
                continue

            def loss(tried: Entrant, fold: Fold) -> float:
                return loss_on(use_case, tried, fold, columns, where)

            study = optuna.create_study(
                storage=kept,
                study_name=f"{search} {entrant.name}",
                direction="minimize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=0),
                load_if_exists=True,
            )
            share = Budget(trials=budget.trials, seconds=budget.seconds / len(searched))
            _run(study, entrant, rows, loss, share, where.seed, clock)
            found.append(_best(study, entrant, PRIMARY[use_case.kind]))
            trials += [_told(each, entrant) for each in _finished(study)]
        kept.remove_session()
    return Tuned(tuple(found), tuple(trials))


def _run(
    study: optuna.Study,
    entrant: Entrant,
    rows: Sequence[Fold],
    loss: Callable[[Entrant, Fold], float],
    budget: Budget,
    seed: int,
    clock: Callable[[], float],
) -> None:
    for killed in study.get_trials(deepcopy=False, states=_OPEN):  # it is drawn again, with the same seed
        study.tell(killed.number, state=TrialState.FAIL)
    search = entrant.candidate.search
    space = {name: _distribution(each) for name, each in search.items()}
    while True:
        finished = _finished(study)
        lasted = [_seconds(each) for each in finished]
        if len(finished) >= budget.trials or (finished and sum(lasted) + max(lasted) > budget.seconds):
            return
        if not finished and all(_allows(tried, entrant.parameters[name]) for name, tried in search.items()):
            study.enqueue_trial(_searched(entrant))  # so that nothing worse than what is there can win
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(finished), n_startup_trials=_BEFORE_PRUNING)
        _try(study, study.ask(space), entrant, rows, loss, clock)


def _try(
    study: optuna.Study,
    trial: optuna.Trial,
    entrant: Entrant,
    rows: Sequence[Fold],
    loss: Callable[[Entrant, Fold], float],
    clock: Callable[[], float],
) -> None:
    started = clock()
    tried = replace(entrant, parameters={**entrant.parameters, **trial.params})
    losses: list[float] = []
    state = TrialState.COMPLETE
    try:
        for place, fold in enumerate(rows):
            losses.append(loss(tried, fold))
            trial.report(sum(losses) / len(losses), place)
            if place + 1 < len(rows) and trial.should_prune():
                state = TrialState.PRUNED
                break
    except ModelError as error:  # such parameters are no answer, and no reason to stop looking
        trial.set_user_attr(_REFUSED, str(error))
        state = TrialState.FAIL
    trial.set_user_attr(_SECONDS, clock() - started)
    study.tell(trial, sum(losses) / len(losses) if state == TrialState.COMPLETE else None, state=state)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to an end by themselves, in order; those that were killed are not among them."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return [
        each
        for each in study.get_trials(deepcopy=False, states=ended)
        if each.state != TrialState.FAIL or _REFUSED in each.user_attrs
    ]


def _best(study: optuna.Study, entrant: Entrant, metric: str) -> Entrant:
    finished = _finished(study)
    complete = [each for each in finished if each.value is not None and each.state == TrialState.COMPLETE]
    pruned = sum(each.state == TrialState.PRUNED for each in finished)
    if not complete:
        return replace(entrant, source=f"{entrant.source} {len(finished)} tuning trials found nothing that works.")
    best = min(complete, key=lambda each: (each.value, each.number))
    parameters = {**entrant.parameters, **best.params}
    first = next((each for each in complete if each.params == _searched(entrant)), None)
    before = f"; it entered with {first.value:.4f}" if first is not None and first is not best else ""
    source = (
        f"Tuned: trial {best.number} of {len(finished)} ({pruned} given up early) reached {metric} {best.value:.4f} on "
        f"{FOLDS} folds in time order{before}."
    )
    return replace(entrant, parameters=parameters, source=source)


def _searched(entrant: Entrant) -> dict[str, Any]:
    return {name: entrant.parameters[name] for name in entrant.candidate.search}


def _told(trial: FrozenTrial, entrant: Entrant) -> Trial:
    seen = trial.intermediate_values
    return Trial(
        candidate=entrant.name,
        number=trial.number,
        state=_REFUSED if trial.state == TrialState.FAIL else trial.state.name.lower(),
        loss=seen[max(seen)] if seen else None,
        folds=len(seen),
        seconds=_seconds(trial),
        parameters=dict(trial.params),
    )


def _seconds(trial: FrozenTrial) -> float:
    return float(trial.user_attrs[_SECONDS])


def _distribution(tried: Range | tuple[Any, ...]) -> BaseDistribution:
    if isinstance(tried, tuple):
        return CategoricalDistribution(tried)
    if tried.whole:
        return IntDistribution(int(tried.low), int(tried.high), log=tried.log)
    return FloatDistribution(tried.low, tried.high, log=tried.log)


def _allows(tried: Range | tuple[Any, ...], value: Any) -> bool:
    return value in tried if isinstance(tried, tuple) else tried.low <= value <= tried.high
