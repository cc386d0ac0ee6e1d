"""Steps that turn labelled entities into a stored challenger."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from esteira import use_cases
from esteira.contract import CREATED, EVENT, UseCase
from esteira.features.availability import require_available
from esteira.model_card import GOLDEN, TRIALS, Column, ModelCard
from esteira.monitoring.reference import build_reference
from esteira.settings import settings
from esteira.stewardship.groups import judge_groups, require_no_failed, told
from esteira.stores import code
from esteira.stores.answers import predictions
from esteira.stores.data import tables
from esteira.stores.data.data_cards import require_complete_card
from esteira.stores.data.synthetic import require_real
from esteira.stores.feature_store import features
from esteira.stores.model_store import models, splits, tracking, training_sets
from esteira.stores.monitoring import retrain_requests
from esteira.stores.releases import ledger
from esteira.stores.stewardship import sensitivity
from esteira.training import golden
from esteira.training import split as splitting
from esteira.training.allowance import Allowance
from esteira.training.card import build_card
from esteira.training.fit import fit, rows_to_learn_from
from esteira.training.labels import OUTCOME, label_entities
from esteira.training.learn import Where, feature_frame
from esteira.training.plots import draw
from esteira.training.recipe import Entrant, Recipe, resolve
from esteira.training.tune import tune
from flows.events import CHALLENGER_TRAINED, ring
from flows.steps.step import step


@step
def find_cause(use_case: str, request: str | None) -> str:
    """Why the run trains: the sentences of the monitor's request, or that nobody asked."""
    use_cases.get(use_case)
    return retrain_requests.asked(request).reason if request else "Trained on schedule or by hand."


@step
def build_training_set(use_case: str, as_of: datetime) -> Path:
    """Join every feature of the service to every labelled entity, with the times of the values; return the file.

    Raises FeatureError when a feature of the service will not exist at serving time; in production MissingData when
    the source has no complete data card.
    """
    declared = use_cases.get(use_case)
    with tracking.failure_listed(use_case, as_of):
        if settings().production:
            require_complete_card(declared.source)
            require_real(declared.source)
        versions = _data_versions(declared)  # before anything is read: what is appended meanwhile became known later
        rows = join_training_set(declared, as_of)
        require_available(declared.feature_service, features.find_obstacles(declared.feature_service, rows))
        return training_sets.save(use_case, rows, as_of=as_of, data_versions=versions)


@step
def split_training_set(use_case: str, as_of: datetime, training_set: Path) -> tuple[str, ...]:
    """Split a training set by time, keep counts and profile of each part beside it, and return them in sentences.

    Raises NotEnoughData when a part has no rows.
    """
    declared, rows = use_cases.get(use_case), training_sets.load(training_set)
    with tracking.failure_listed(use_case, as_of):
        split = splitting.split_training_set(declared, rows, as_of=as_of)
    names = rows.select(splitting.part_names(split.train, split.holdout)).to_series()
    kept = splits.record(training_set, rows, names, entity_id=declared.entity_id)
    return tuple(str(each.part) for each in kept.parts)


@step
def judge_training_groups(use_case: str, as_of: datetime, training_set: Path) -> tuple[str, ...]:
    """Judge each group of the use case's slices in a training set, keep what was found, and return it in sentences.

    Recent predictions tell who asks. Raises NotEnoughData when a group fails.
    """
    declared = use_cases.get(use_case)
    groups = judge_groups(
        training_sets.load(training_set),
        predictions.asked_lately(use_case, as_of - declared.monitor.window, as_of, declared.slices),
        columns=declared.slices,
        label=OUTCOME,
        features=[column.name for column in features.service_columns(declared.feature_service)],
        limits=declared.groups,
    )
    training_sets.record_groups(training_set, groups)
    with tracking.failure_listed(use_case, as_of):
        require_no_failed(groups, training_set.name)
    return told(groups)


def join_training_set(declared: UseCase, as_of: datetime) -> pl.DataFrame:
    """The labelled entities known at ``as_of`` with every feature of the service, and the times of the values."""
    raw = tables.read_known(sorted({*declared.entity_reads, *declared.outcome_reads}), as_of)
    labelled = label_entities(declared, declared.build_entities(raw), declared.build_outcomes(raw), as_of=as_of)
    joined = features.build_training_set(declared.feature_service, labelled)
    return pl.concat([joined, features.join_times(declared.feature_service, labelled)], how="horizontal")


@step
def train_challenger(
    use_case: str,
    as_of: datetime,
    training_set: Path,
    cause: str,
    request: str | None = None,
    recipe: Recipe | None = None,
) -> str:
    """Fit, select and measure a challenger, record the run, store the model; return its version.

    A request that was answered already is answered with the same challenger. Raises OverBudget when the run spends
    more than ESTEIRA_RUN_SECONDS or ESTEIRA_RUN_MEGABYTES; it is then listed as failed, with the reason.
    """
    if request and (answer := retrain_requests.answered_by(request)):
        return answer
    declared = use_cases.get(use_case)
    rows = training_sets.load(training_set)
    columns = features.service_columns(declared.feature_service)
    current = settings()
    times = [name for name in rows.columns if name.endswith((f"__{EVENT}", f"__{CREATED}"))]
    with tracking.failure_listed(use_case, as_of):
        with tracking.cost() as cost:
            allowance = Allowance(
                seconds=current.run_seconds, megabytes=current.run_megabytes, held=tracking.peak_memory_mb
            )
            entrants, tried = _entrants(declared, recipe or Recipe(), training_set, columns, as_of, allowance)
            fitted = fit(
                declared, rows, columns, as_of=as_of, seed=current.seed, threads=current.threads,
                device=current.device, feature_times=times, entrants=entrants, allowance=allowance,
            )  # fmt: skip
            attachments = {
                **build_reference(
                    sensitivity.mask(rows), columns, holdout=fitted.holdout, predictions=fitted.predictions,
                    window=declared.monitor.window, window_rows=declared.monitor.minimum_rows,
                    importances=fitted.importances, seed=current.seed,
                ),
                GOLDEN: golden.pick(
                    declared, fitted.pipeline, fitted.holdout, columns, hidden=sensitivity.restricted_columns()
                ),
                **draw(declared, fitted),
                **tried,
            }  # fmt: skip
        card = build_card(
            declared, fitted, columns,
            version=models.name_version(fitted.pipeline, as_of),
            as_of=as_of,
            entity_values=declared.entity_values(tables.read_known(declared.entity_reads, as_of)),
            data_versions=training_sets.data_versions(training_set),
            training_set_sha256=training_sets.digest(rows),
            code_commit=code.commit(),
            code_sha256=code.digest(),
            lock_sha256=code.lock_digest(),
            environment=tracking.environment(),
            hardware=tracking.hardware(current.device),
            cost=vars(cost),
            **vars(models.measure(fitted.pipeline, feature_frame(fitted.holdout, columns))),
            seed=current.seed,
            cause=cause,
            run_id="",
        )  # fmt: skip
    tags = {"training_set": training_set.name, **({"request": request} if request else {})}
    run_id = tracking.record_run(card, artifacts=attachments, tags=tags)
    stored = models.save(fitted.pipeline, card.model_copy(update={"run_id": run_id}), attachments)
    return retrain_requests.answer(request, stored.version) if request else stored.version


@step
def ring_for_validation(use_case: str, as_of: datetime, challenger: str) -> None:
    """Tell whoever waits that there is a challenger to judge."""
    ring(CHALLENGER_TRAINED, use_case, as_of, challenger=challenger)


@step
def describe(use_case: str, challenger: str) -> tuple[str, ...]:
    """What a person wants to know of a challenger: its selection, its metrics with intervals, its leading features."""
    card = models.load(use_case, challenger).card
    metrics = (f"{name} {each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for name, each in card.metrics.items())
    leading = sorted(card.importances.items(), key=lambda item: -item[1])[:5]
    return (
        f"Trained on {card.training_rows:,} rows until {card.trained_until:%Y-%m-%d}, measured until "
        f"{card.holdout_until:%Y-%m-%d}: {', '.join(metrics)}.",
        *card.selection,
        f"Parameters: {card.parameters_source}",
        "Leading features: " + ", ".join(f"{name} {share:.0%}" for name, share in leading) + ".",
    )


def _data_versions(declared: UseCase) -> dict[str, int]:
    read = {*declared.entity_reads, *declared.outcome_reads, *(table.name for table in declared.feature_tables)}
    return tables.versions(sorted(read))


def _entrants(
    declared: UseCase, recipe: Recipe, training_set: Path, columns: tuple[Column, ...], as_of: datetime,
    allowance: Allowance,
) -> tuple[tuple[Entrant, ...], dict[str, bytes]]:  # fmt: skip
    """The candidates with their parameters, tuned if the recipe says so, and the trials to keep with the run."""
    entrants = resolve(declared, recipe, _approved(declared.name))
    if recipe.tuning is None:
        return entrants, {}
    current = settings()
    tuned = tune(
        declared, entrants, rows_to_learn_from(declared, training_sets.load(training_set), as_of=as_of), columns,
        budget=recipe.tuning,
        where=Where(seed=current.seed, threads=current.threads, device=current.device, allowance=allowance),
        storage=current.tuning_path / f"{declared.name}.db",
        # What makes losses comparable: the same rows, code and seed. A killed search goes on under the same name.
        search=f"{training_set.stem} {code.digest()[:12]} {current.seed}",
    )  # fmt: skip
    return tuned.entrants, {TRIALS: json.dumps([each.model_dump() for each in tuned.trials], indent=1).encode()}


def _approved(use_case: str) -> ModelCard | None:
    if not ledger.is_released(use_case):
        return None
    live = ledger.live(use_case)
    return models.load(use_case, live.model_version, card_sha256=live.card_sha256).card
