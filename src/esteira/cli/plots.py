"""The report's plots, as SVG text that needs no network and follows the page's colours."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esteira.model_card import ModelCard
from esteira.monitoring.comparison import Comparison
from esteira.stores.releases.ledger import Release

if TYPE_CHECKING:  # Prefect takes seconds, and other plots do without
    from flows.monitor import Monitored

mpl.use("svg")
_INK, _BLUE, _ORANGE = "#808890", "#3b82c4", "#e08a3c"
_MOST_COLUMNS = 20


def quality_over_time(monitored: Sequence["Monitored"], releases: Sequence[Release]) -> str:
    """AUC and log-loss of each monitored week's live predictions with intervals; releases are marked."""
    figure, axes = _figure(1, 2, height=2.8)
    for place, metric in enumerate(("auc", "log_loss")):
        points = [
            (seen.windows[-1].end, seen.windows[-1].quality.metrics[metric])
            for seen in monitored
            if seen.windows[-1].quality is not None and metric in seen.windows[-1].quality.metrics
        ]
        if points:
            moments, values = [_day(moment) for moment, _ in points], [each.value for _, each in points]
            low = [max(0.0, each.value - each.low) for _, each in points]
            high = [max(0.0, each.high - each.value) for _, each in points]
            axes[place].errorbar(moments, values, yerr=[low, high], fmt="o-", color=_BLUE, capsize=3)
        for release in releases[1:]:
            axes[place].axvline(_day(release.released_at), color=_ORANGE, linestyle="--")
        days = [_day(seen.windows[-1].end) for seen in monitored]
        axes[place].set_xticks(days, [f"{seen.windows[-1].end:%d %b}" for seen in monitored])
        axes[place].set_title(f"{metric.replace('_', '-')} of live predictions, per week")
    return _svg(figure)


def drift_heat_map(monitored: Sequence["Monitored"]) -> str:
    """Distance from the reference over its threshold, most important columns by weeks; above 1 a column has moved."""
    judged = [(seen.windows[-1].end, seen.windows[-1].drift) for seen in monitored if seen.windows[-1].drift]
    known = [(moment, drift) for moment, drift in judged if drift is not None and drift.known]
    if not known:
        return ""
    importance = {column.name: column.importance for _, drift in known for column in drift.columns}
    names = sorted(importance, key=lambda name: -importance[name])[:_MOST_COLUMNS]
    cells = np.array(
        [
            [
                {each.name: each.distance / each.threshold for each in drift.columns}.get(name, np.nan)
                for _, drift in known
            ]
            for name in names
        ]
    )
    figure, axes = _figure(1, 1, height=0.24 * len(names) + 1)
    image = axes[0].imshow(cells, aspect="auto", cmap="RdBu_r", vmin=0, vmax=2)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_xticks(range(len(known)), [f"{moment:%d %b}" for moment, _ in known])
    axes[0].set_title("distance from training over threshold (above 1: moved), most important columns first")
    bar = figure.colorbar(image)
    bar.ax.tick_params(colors=_INK)
    return _svg(figure)


def importances(cards: Sequence[ModelCard]) -> str:
    """The leading features of the newest model, beside their weight in the first one."""
    newest, first = cards[-1].importances, cards[0].importances
    names = sorted(newest, key=lambda name: newest[name])[-15:]
    figure, axes = _figure(1, 1, height=3.6)
    rows = np.arange(len(names))
    axes[0].barh(rows + 0.2, [newest[name] for name in names], height=0.4, color=_BLUE, label=cards[-1].version)
    if len(cards) > 1:
        before = [first.get(name, 0.0) for name in names]
        axes[0].barh(rows - 0.2, before, height=0.4, color=_ORANGE, label=cards[0].version)
    axes[0].set_yticks(rows, names)
    axes[0].set_title("share of the model's total gain")
    axes[0].legend(labelcolor=_INK, frameon=False)
    return _svg(figure)


def latencies(seconds: Sequence[float]) -> str:
    """How long each request took while the model was retrained and changed over, in the order they were sent."""
    figure, axes = _figure(1, 1, height=2.2)
    axes[0].plot(1000 * np.asarray(seconds), ".", markersize=2, color=_BLUE)
    axes[0].set_yscale("log")
    axes[0].set_title("milliseconds per request, during retraining and change-over")
    return _svg(figure)


def difference_over_entities(compared: Comparison) -> str:
    """The difference in loss between challenger and champion as outcomes became known, with its interval."""
    figure, axes = _figure(1, 1, height=3)
    entities = [each.entities for each in compared.looks]
    low, high = [each.low for each in compared.looks], [each.high for each in compared.looks]
    axes[0].fill_between(entities, low, high, color=_BLUE, alpha=0.25, linewidth=0)
    axes[0].plot(entities, [each.estimate for each in compared.looks], color=_BLUE)
    axes[0].axhline(0, color=_ORANGE, linestyle="--")
    widest = max(abs(each) for each in (compared.looks[-1].low, compared.looks[-1].high))
    axes[0].set_ylim(-4 * widest, 4 * widest)  # the first intervals are as wide as a loss can be
    axes[0].set_xlabel("entities with a known outcome", color=_INK, fontsize=8)
    axes[0].set_title(f"{compared.loss} of {compared.challenger} less that of {compared.champion}; above 0 it is worse")
    return _svg(figure)


def _day(moment: datetime) -> float:
    return moment.timestamp() / 86_400


def _figure(rows: int, columns: int, *, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for each in axes:
        each.patch.set_alpha(0)
        each.tick_params(colors=_INK, labelsize=8)
        each.title.set_color(_INK)
        each.title.set_size(9)
        for spine in each.spines.values():
            spine.set_color(_INK)
    return figure, axes


def _svg(figure: Figure) -> str:
    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "esteira"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    text = drawn.getvalue()
    return text[text.index("<svg") :]
