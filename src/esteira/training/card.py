"""Write down what is known about a challenger: its model card."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from esteira.contract import UseCase
from esteira.model_card import Column, ModelCard
from esteira.training.fit import Fitted

CONSTANT = "constant_prediction"
"""Under this name a card's baseline holds the constant itself, beside the metrics it reaches."""


def build_card(
    use_case: UseCase,
    fitted: Fitted,
    columns: Sequence[Column],
    *,
    version: str,
    as_of: datetime,
    entity_values: Mapping[str, tuple[str, ...]],
    data_versions: Mapping[str, int],
    code_commit: str,
    lock_sha256: str,
    seed: int,
    cause: str,
    run_id: str,
) -> ModelCard:
    """The card of a fitted challenger, with where it came from; the model store completes it with digests."""
    split = fitted.split
    return ModelCard(
        use_case=use_case.name,
        version=version,
        kind=use_case.kind,
        purpose=use_case.purpose,
        owner=use_case.owner,
        candidate=fitted.candidate,
        parameters=fitted.parameters,
        selection=fitted.selection,
        feature_service=use_case.feature_service,
        columns=tuple(columns),
        entity_values=entity_values,
        as_of=as_of,
        trained_from=split.trained_from,
        trained_until=split.trained_until,
        training_rows=fitted.training_rows,
        holdout_from=split.holdout_from,
        holdout_until=split.holdout_until,
        metrics=fitted.metrics,
        baseline={**fitted.baseline, CONSTANT: fitted.baseline_prediction},
        slices=fitted.slices,
        importances=fitted.importances,
        threshold=use_case.threshold,
        bounds=use_case.bounds,
        rules=use_case.rules,
        data_versions=data_versions,
        code_commit=code_commit,
        lock_sha256=lock_sha256,
        seed=seed,
        cause=cause,
        run_id=run_id,
    )
