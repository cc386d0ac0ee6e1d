"""What happens to a model's output before anybody sees it: clip it to its bounds, decide at the threshold."""

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from esteira.model_card import Frozen


class PostProcessing(Frozen):
    """The declared rules; they are part of a release, so they change and roll back together with its model.

    >>> rules = PostProcessing(kind="binary", threshold=0.5, bounds=(0.01, 0.99))
    >>> rules.clip(np.array([0.0, 0.5, 1.0])).tolist()
    [0.01, 0.5, 0.99]
    >>> rules.decide(0.5), rules.decide(0.49)
    (True, False)
    """

    kind: Literal["binary", "regression"]
    threshold: float
    bounds: tuple[float, float]

    @model_validator(mode="after")
    def _bounds_are_a_range(self) -> Self:
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"The bounds {self.bounds} are no range. Expected the lower one first.")
        if self.kind == "binary" and not (low >= 0 and high <= 1):
            raise ValueError(f"The bounds {self.bounds} leave [0, 1]. A probability cannot.")
        return self

    def clip(self, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The predictions (n) moved to the nearer bound where they lie outside."""
        return np.clip(predictions, *self.bounds)

    def decide(self, prediction: float) -> bool | None:
        """Yes from the threshold on; a regression decides nothing, so None."""
        return prediction >= self.threshold if self.kind == "binary" else None
