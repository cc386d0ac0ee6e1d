"""Tell what the belt did: a summary for the terminal and a self-contained HTML page with plots."""

import os
from pathlib import Path

import numpy as np
import polars as pl
from jinja2 import Environment, PackageLoader, select_autoescape
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from esteira import use_cases
from esteira.cli import plots
from esteira.cli.stage import Story
from esteira.model_card import Estimate, Frozen, ModelCard
from esteira.monitoring.outcomes import join_outcomes
from esteira.monitoring.quality import judge_quality
from esteira.settings import settings
from esteira.stores.answers import predictions
from esteira.stores.data import tables
from esteira.stores.model_store import models
from esteira.stores.releases import ledger

FEWEST = 100
"""Known outcomes below which no live quality is told."""


class Chapter(Frozen):
    """One release and what is worth telling about it."""

    release: ledger.Release
    card: ModelCard
    live_quality: Estimate | None
    """The area under the curve over all its live predictions whose outcomes are known; None when they are too few."""


def summarise(use_case: str, story: Story) -> RenderableType:
    """What was released and why, quality before and after, skew found, the change-over: for a terminal."""
    chapters = _chapters(use_case, story)
    table = Table("release", "trained on", "AUC, held-out days", "log-loss", "AUC, live", box=SIMPLE_HEAD)
    for each in chapters:
        table.add_row(
            str(each.release.id), f"{each.card.training_rows:,} rows", _shown(each.card.metrics["auc"]),
            _shown(each.card.metrics["log_loss"]), _shown(each.live_quality),
        )  # fmt: skip
    lines = [
        f"[bold]Release {each.release.id}[/] ({each.release.model_version}): {_short(each.release.reason)}"
        for each in chapters
    ]
    lines.append(f"[bold]Before and after[/], on the same flights: {_comparison(chapters[-1].release)}")
    return Group(table, Panel("\n".join([*lines, *_facts(story)]), title="What happened", expand=False))


def write_report(use_case: str, story: Story) -> Path:
    """Write the HTML report of a run, whole or not at all; return its path."""
    chapters = _chapters(use_case, story)
    page = Environment(loader=PackageLoader("esteira.cli", "."), autoescape=select_autoescape()).get_template(
        "report.html"
    )
    html = page.render(
        use_case=use_case,
        chapters=chapters,
        shown=_shown,
        facts=_facts(story, markup=False),
        monitored=story.monitored,
        timings=story.timings,
        quality_plot=plots.quality_over_time(story.monitored, [each.release for each in chapters]),
        drift_plot=plots.drift_heat_map(story.monitored),
        importance_plot=plots.importances([each.card for each in chapters]),
        latency_plot=plots.latencies(story.load.seconds),
    )
    path = settings().reports_path / "demo.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}.tmp")
    staged.write_text(html, encoding="utf-8")
    staged.rename(path)
    return path


def _chapters(use_case: str, story: Story) -> list[Chapter]:
    """Every release, oldest first, with the quality of all its live predictions whose outcomes are known by now."""
    declared = use_cases.get(use_case)
    now = story.monitored[-1].as_of
    outcomes = declared.build_outcomes(tables.read_known(declared.outcome_reads, now))
    asked = predictions.read_predictions(use_case).unique(["release", "entity_id"], keep="first", maintain_order=True)
    served = join_outcomes(
        asked,
        outcomes.rename({declared.entity_id: "entity_id"}),
        as_of=now,
        maturity=declared.monitor.outcome_maturity,
    )
    chapters = []
    for release in reversed(ledger.releases(use_case)):
        quality = judge_quality(served.filter(pl.col("release") == release.id), declared.kind, minimum_rows=FEWEST)
        chapters.append(
            Chapter(
                release=release,
                card=models.load(use_case, release.model_version, card_sha256=release.card_sha256).card,
                live_quality=quality.metrics.get("auc"),
            )
        )
    return chapters


def _comparison(release: ledger.Release) -> str:
    """The gate's figures of a release that followed another: both models, scored on the same rows."""
    figures = {name: Estimate(**each) for name, each in release.evidence["figures"].items()}
    metric = str(release.evidence["metric"]).replace("_", "-")
    ours, floor = figures["challenger"], figures["baseline"].value
    if "champion" not in figures:
        return f"{metric} {ours.value:.3f}, a constant prediction {floor:.3f}."
    gain = figures["difference"]
    return (
        f"{metric} {figures['champion'].value:.3f} became {ours.value:.3f}, a difference of {gain.value:+.3f} "
        f"({gain.low:+.3f} to {gain.high:+.3f}); a constant prediction reaches {floor:.3f}."
    )


def _short(reason: str) -> str:
    sentences = reason.split(". ")
    return ". ".join(sentences[:2]).removesuffix(".") + "."


def _facts(story: Story, *, markup: bool = True) -> list[str]:
    facts = {
        "Live requests": f"{story.requests:,} flights asked about, {story.cached_answers} looked up of "
        f"{story.precomputed:,} predicted ahead.",
        "Skew": f"{sum(seen.skew.values for seen in story.monitored):,} served values were computed again offline; "
        f"{sum(sum(n.values()) for seen in story.monitored for n in seen.skew.counts.values())} differ.",
    }
    if story.load.seconds:
        p50, p99 = (1000 * float(np.quantile(story.load.seconds, share)) for share in (0.5, 0.99))
        facts["Change-over"] = (
            f"{sum(story.load.answered.values()):,} requests while retraining and changing over, "
            f"{len(story.load.failures)} failed; p50 {p50:.1f} ms, p99 {p99:.1f} ms; the new release answered "
            f"{story.changed_over_in or 0:.1f} s after it was in the ledger."
        )
    return [f"[bold]{name}[/]: {fact}" if markup else f"{name}: {fact}" for name, fact in facts.items()]


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not yet known"
    return f"{estimate.value:.3f} ({estimate.low:.2f}-{estimate.high:.2f})"
