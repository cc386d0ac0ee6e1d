"""Why the model answered as it did: each feature's contribution by the model's own account, and in words.

Boosted trees give Shapley values of their trees (XGBoost's pred_contribs; Lundberg, Erion and Lee, arXiv:1802.03888);
a linear model's contribution is coefficient times encoded value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esteira.encoding import Matrix
from esteira.errors import InvalidRequest
from esteira.serving.answers import Contribution, Explanation

MOST = 8
"""So many contributions are named, the others summed."""
_NAMED_IN_WORDS = 3


def explain(
    estimator: Any, matrix: Matrix, columns: Sequence[str], values: Mapping[str, Sequence[Any]], unit: str
) -> list[Explanation]:
    """Explain n rows: ``matrix`` (n, m) is what the estimator sees, ``columns`` names the feature each of m is from.

    Raises InvalidRequest when the estimator cannot account for itself.
    """
    shares, bases = _contributions(estimator, matrix)
    if shares.shape[1] != len(columns):
        raise _unexplained(estimator)
    names = list(dict.fromkeys(columns))
    places = np.array([names.index(each) for each in columns])
    by_feature = np.zeros((len(matrix), len(names)))
    for place in range(len(columns)):
        by_feature[:, places[place]] += shares[:, place]
    return [
        _told(names, row.tolist(), {name: values[name][place] for name in names}, float(bases[place]), unit)
        for place, row in enumerate(by_feature)
    ]


def _contributions(estimator: Any, matrix: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if hasattr(estimator, "get_booster"):
        from xgboost import DMatrix  # noqa: PLC0415 - the first explanation brings it, if a model has not

        shares = np.asarray(estimator.get_booster().predict(DMatrix(matrix), pred_contribs=True), dtype=np.float64)
        return shares[:, :-1], shares[:, -1]
    if hasattr(estimator, "coef_"):
        coefficients = np.asarray(estimator.coef_, dtype=np.float64).reshape(-1)
        intercept = float(np.asarray(estimator.intercept_).reshape(-1)[0])
        return matrix * coefficients, np.full(len(matrix), intercept)
    raise _unexplained(estimator)


def _told(
    names: Sequence[str], shares: Sequence[float], values: Mapping[str, Any], base: float, unit: str
) -> Explanation:
    ordered = sorted(zip(names, shares, strict=True), key=lambda each: -abs(each[1]))
    named = [Contribution(feature=name, value=values[name], contribution=share) for name, share in ordered[:MOST]]
    told = [each for each in named if each.contribution]
    raised = [each for each in told if each.contribution > 0][:_NAMED_IN_WORDS]
    lowered = [each for each in told if each.contribution < 0][:_NAMED_IN_WORDS]
    words = [
        f"{verb} by {', '.join(_shown(each) for each in those)}"
        for verb, those in (("raised", raised), ("lowered", lowered))
        if those
    ]
    sentence = "; ".join(words) or "moved by nothing"
    return Explanation(
        words=f"{sentence[0].upper()}{sentence[1:]} (in {unit}).",
        unit=unit,
        base=base,
        contributions=named,
        rest=sum(share for _, share in ordered[MOST:]),
    )


def _shown(each: Contribution) -> str:
    value = "missing" if each.value is None else f"{each.value:g}" if isinstance(each.value, float) else each.value
    return f"{each.feature} = {value} ({each.contribution:+.2f})"


def _unexplained(estimator: Any) -> InvalidRequest:
    return InvalidRequest(
        f"The live model, a {type(estimator).__name__}, cannot say what each feature contributed. Leave explain out."
    )
