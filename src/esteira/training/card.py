"""Write down what is known about a challenger: its model card."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from esteira.contract import UseCase
from esteira.model_card import CONSTANT, Column, ModelCard
from esteira.training.fit import Fitted
from esteira.training.intervals import coverage_of_newer_half, residual_bands
from esteira.training.labels import OUTCOME


def build_card(
    use_case: UseCase,
    fitted: Fitted,
    columns: Sequence[Column],
    *,
    as_of: datetime,
    **origin: Any,
) -> ModelCard:
    """The card of a fitted challenger; ``origin`` are the card's fields that say where it came from, and its version.

    The model store completes it with digests. Raises ValidationError for a field the card does not have.
    """
    split = fitted.split
    return ModelCard(
        use_case=use_case.name,
        kind=use_case.kind,
        purpose=use_case.purpose,
        owner=use_case.owner,
        candidate=fitted.entrant.name,
        parameters=fitted.entrant.parameters,
        declared_parameters=fitted.entrant.candidate.parameters,
        parameters_source=fitted.entrant.source,
        selection=fitted.selection,
        feature_service=use_case.feature_service,
        columns=tuple(columns),
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
        **_intervals(fitted, use_case.kind),
        rules=use_case.rules,
        limits=use_case.limits,
        **origin,
    )


def _intervals(fitted: Fitted, kind: str) -> dict[str, Any]:
    if kind == "binary":
        return {}
    outcomes = fitted.holdout[OUTCOME].to_numpy()
    return {
        "residuals": residual_bands(fitted.predictions, outcomes),
        "coverage": coverage_of_newer_half(fitted.predictions, outcomes),
    }
