"""One trained model ready to answer: feature values in, checked and post-processed predictions out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from esteira.calibration import uncalibrated
from esteira.encoding import Matrix
from esteira.errors import InvalidRequest, ModelError
from esteira.model_card import CONSTANT, ModelCard
from esteira.serving.answers import Explanation
from esteira.serving.explaining import explain
from esteira.serving.post_processing import PostProcessing

Columns = Mapping[str, Sequence[Any]]


class Predictor:
    """A model with its card and post-processing; it is never changed, so requests share it freely.

    Predictions equal ``pipeline.predict_proba(frame)[:, yes]`` (or ``predict``) bit for bit, without building a frame.
    """

    def __init__(self, card: ModelCard, pipeline: Pipeline, post_processing: PostProcessing | None = None) -> None:
        """Take a loaded model; without ``post_processing`` the rules declared on its card hold.

        Raises ModelError when a binary model does not tell 0 from 1, so swapped classes are found before any request.
        """
        self.card = card
        self.post_processing = post_processing or PostProcessing.of(card.kind, card)
        self.names = tuple(column.name for column in card.columns)
        self._known = {name: frozenset(values) for name, values in card.entity_values.items()}
        first, *middle, (_, self._estimator) = pipeline.steps
        self._encoder = first[1]
        self._middle = [step for _, step in middle if step != "passthrough"]
        if card.kind == "binary":
            classes = [float(each) for each in self._estimator.classes_]
            if classes != [0.0, 1.0]:
                raise ModelError(
                    f"Model {card.version!r} predicts the classes {classes}. Expected [0, 1], in this order: "
                    "train it on outcomes that are 0 or 1."
                )
        self._raw = _raw_output(self._estimator, card)

    @property
    def default(self) -> float:
        """The constant that predicts best, learned from the training rows: an answer without features.

        Raises ModelError when the card does not have it.
        """
        if CONSTANT not in self.card.baseline:
            raise ModelError(f"The card of model {self.card.version!r} has no {CONSTANT}. Train a model that has.")
        return self.card.baseline[CONSTANT]

    def require_known(self, rows: Columns) -> None:
        """Refuse rows whose entity keys have a value the model has never heard of; a missing value is allowed.

        Raises InvalidRequest naming the first such value and what is known.
        """
        for name, known in self._known.items():
            for value in rows.get(name, ()):
                if value is not None and value not in known:
                    raise InvalidRequest(
                        f"Unknown {name} {value!r}. Known: {', '.join(sorted(map(str, known)))}. "
                        f"The model card of {self.card.version} lists them under entity_values."
                    )

    def predict(self, values: Columns, given: Columns | None = None) -> NDArray[np.float64]:
        """Predictions (n) for n values of every column on the card, as they are served: after the value rules.

        ``given`` has the n entity keys and request inputs, at least those which the rules' conditions name.
        Raises as ``output`` and ``PostProcessing.adjust`` do.
        """
        return self.post_processing.adjust(self.output(values), given or {})

    def output(self, values: Columns) -> NDArray[np.float64]:
        """What the model itself says of n values of every column: P(yes), or the estimate in the outcome's unit.

        Raises ModelError when a column is absent, or the model's output is no number or no probability.
        """
        raw = self._raw(self._matrix(values))
        # NaN fails every comparison
        sound = ((raw >= 0) & (raw <= 1)) if self.card.kind == "binary" else np.isfinite(raw)
        if not sound.all():
            raise ModelError(
                f"Model {self.card.version!r} produced {_worst(raw)!r}. Expected "
                f"{'a probability' if self.card.kind == 'binary' else 'a finite number'}. Roll back: esteira rollback."
            )
        return raw

    def explain(self, values: Columns) -> list[Explanation]:
        """What each feature contributed to the outputs for n values of every column.

        Raises ModelError when a column is absent, InvalidRequest when the model cannot account for itself.
        """
        unit = "log-odds" if self.card.kind == "binary" else "the outcome's unit"
        return explain(uncalibrated(self._estimator), self._matrix(values), self._encoder.sources, values, unit)

    def _matrix(self, values: Columns) -> Matrix:
        try:
            columns = {name: values[name] for name in self.names}
        except KeyError:
            absent = [name for name in self.names if name not in values]
            raise ModelError(
                f"Model {self.card.version!r} needs the columns {absent}, which the feature service "
                f"{self.card.feature_service!r} did not deliver. Release a model trained on what the service has now."
            ) from None
        matrix: Matrix = self._encoder.encode_columns(columns)
        for step in self._middle:
            matrix = step.transform(matrix)
        return matrix


def _raw_output(estimator: Any, card: ModelCard) -> Callable[[Matrix], NDArray[np.float64]]:
    if card.kind == "regression":
        return lambda matrix: np.asarray(estimator.predict(matrix), dtype=np.float64)
    model = uncalibrated(estimator)
    if hasattr(model, "get_booster") and model.get_booster().attr("best_iteration") is None:
        from esteira.serving.trees import row_predictor  # noqa: PLC0415 - a linear model does without XGBoost

        chance = row_predictor(model.get_booster())
        if model is estimator:
            return chance
        return lambda matrix: np.asarray(estimator.calibrate(chance(matrix)))
    return lambda matrix: np.asarray(estimator.predict_proba(matrix)[:, 1], dtype=np.float64)


def _worst(raw: NDArray[np.float64]) -> float:
    unsound = raw[~np.isfinite(raw)]
    return float(unsound[0]) if unsound.size else float(raw[np.argmax(np.abs(raw - 0.5))])
