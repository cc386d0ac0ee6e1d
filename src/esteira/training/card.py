"""Write down what is known about a challenger: its model card."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from esteira.contract import UseCase
from esteira.model_card import CONSTANT, Column, ModelCard
from esteira.training.fit import Fitted
from esteira.training.labels import OUTCOME

_NINE_OF_TEN = (0.05, 0.95)


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
        residuals=_residuals(fitted) if use_case.kind == "regression" else None,
        rules=use_case.rules,
        limits=use_case.limits,
        **origin,
    )


def _residuals(fitted: Fitted) -> tuple[float, float]:
    low, high = np.quantile(fitted.holdout[OUTCOME].to_numpy() - fitted.predictions, _NINE_OF_TEN)
    return float(low), float(high)
