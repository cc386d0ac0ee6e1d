"""Draw how good a challenger is, for people: pictures that travel with the tracking run."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from esteira.contract import UseCase
from esteira.training.bootstrap import Floats
from esteira.training.evaluate import CALIBRATION_BINS
from esteira.training.fit import Fitted
from esteira.training.labels import OUTCOME

_LEADING = 20


def draw(use_case: UseCase, fitted: Fitted) -> dict[str, bytes]:
    """Pictures of the holdout as file name -> PNG: calibration, curves (binary) or errors (regression), importances."""
    outcomes = fitted.holdout[OUTCOME].to_numpy()
    detail = _curves if use_case.kind == "binary" else _errors
    return {
        "calibration.png": _calibration(outcomes, fitted.predictions),
        **detail(outcomes, fitted.predictions),
        "importances.png": _importances(fitted),
    }


def _calibration(outcomes: Floats, predictions: Floats) -> bytes:
    edges = np.quantile(predictions, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1])
    place = np.searchsorted(edges, predictions, side="right")
    bins = [place == each for each in range(CALIBRATION_BINS) if (place == each).any()]
    figure, axes = _sheet("Calibration: ten bins of equal size", "predicted", "observed")
    said, came = [predictions[each].mean() for each in bins], [outcomes[each].mean() for each in bins]
    axes.plot(said, came, marker="o")
    axes.axline((said[0], said[0]), slope=1, color="grey", linestyle="--")
    return _png(figure)


def _curves(outcomes: Floats, predictions: Floats) -> dict[str, bytes]:
    false_alarms, hits, _ = roc_curve(outcomes, predictions)
    roc, axes = _sheet("Receiver operating characteristic", "false positive rate", "true positive rate")
    axes.plot(false_alarms, hits)
    axes.axline((0, 0), slope=1, color="grey", linestyle="--")
    precision, recall, _ = precision_recall_curve(outcomes, predictions)
    trade, axes = _sheet("Precision and recall", "recall", "precision")
    axes.plot(recall, precision)
    axes.axhline(outcomes.mean(), color="grey", linestyle="--")
    return {"roc.png": _png(roc), "precision_recall.png": _png(trade)}


def _errors(outcomes: Floats, predictions: Floats) -> dict[str, bytes]:
    figure, axes = _sheet("Errors: prediction minus outcome", "error", "rows")
    axes.hist(predictions - outcomes, bins=60)
    return {"errors.png": _png(figure)}


def _importances(fitted: Fitted) -> bytes:
    leading = sorted(fitted.importances.items(), key=lambda item: item[1])[-_LEADING:]
    figure, axes = _sheet(f"The {len(leading)} leading features", "share of importance", "")
    axes.barh([name for name, _ in leading], [share for _, share in leading])
    return _png(figure)


def _sheet(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=across, ylabel=up)
    return figure, axes


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})  # the same picture, the same bytes
    return picture.getvalue()
