"""Tell what the belt did: a summary for the terminal and a self-contained HTML page with plots."""

import os
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from esteira.cli import plots
from esteira.cli.stage import Story
from esteira.model_card import Estimate, Frozen, ModelCard
from esteira.settings import settings
from esteira.stores import ledger, models


class Chapter(Frozen):
    """One release and what is worth telling about it."""

    release: ledger.Release
    card: ModelCard
    live_quality: Estimate | None
    """The area under the curve over its live predictions, where outcomes are known, in its last judged window."""


def summarise(use_case: str, story: Story) -> RenderableType:
    """What was released and why, quality before and after, skew found, the change-over, as tables for a terminal."""
    table = Table(
        "release", "model", "trained on", "AUC, held out", "log-loss, held out", "AUC, live", title="Releases"
    )
    chapters = _chapters(use_case, story)
    for each in chapters:
        table.add_row(
            str(each.release.id), each.release.model_version, f"{each.card.training_rows:,} flights",
            _shown(each.card.metrics["auc"]), _shown(each.card.metrics["log_loss"]), _shown(each.live_quality),
        )  # fmt: skip
    lines = [f"[bold]Release {each.release.id}[/]: {each.release.reason}" for each in chapters]
    lines += [f"[bold]At the gate[/]: {sentence}" for sentence in _comparison(chapters[-1].release)]
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
    chapters = []
    for release in reversed(ledger.releases(use_case)):
        card = models.load(use_case, release.model_version, card_sha256=release.card_sha256).card
        judged = [
            window.quality.metrics["auc"]
            for seen in story.monitored
            for window in seen.windows[-1:]
            if window.start >= release.released_at - (window.end - window.start) / 2
            and window.quality is not None
            and "auc" in window.quality.metrics
            and _live_at(use_case, release, window.end)
        ]
        chapters.append(Chapter(release=release, card=card, live_quality=judged[-1] if judged else None))
    return chapters


def _live_at(use_case: str, release: ledger.Release, moment: object) -> bool:
    later = [each.released_at for each in ledger.releases(use_case) if each.id > release.id]
    return all(moment <= each for each in later)  # type: ignore[operator]


def _comparison(release: ledger.Release) -> list[str]:
    checks = release.evidence.get("checks", [])
    return [check["sentence"] for check in checks if check["name"] in {"non-inferiority", "absolute floor"}]


def _facts(story: Story, *, markup: bool = True) -> list[str]:
    newest = story.monitored[-1]
    facts = {
        "Live requests": f"{story.requests:,} flights asked about, {story.cached_answers} looked up of "
        f"{story.precomputed:,} predicted ahead",
        "Skew": newest.skew.sentences[0],
    }
    if story.load.seconds:
        p50, p99 = (1000 * float(np.quantile(story.load.seconds, share)) for share in (0.5, 0.99))
        facts["Change-over"] = (
            f"{sum(story.load.answered.values()):,} requests while retraining and changing over, "
            f"{len(story.load.failures)} failed; p50 {p50:.1f} ms, p99 {p99:.1f} ms; the new release answered "
            f"{story.changed_over_in or 0:.1f} s after it was in the ledger"
        )
    return [f"[bold]{name}[/]: {fact}." if markup else f"{name}: {fact}." for name, fact in facts.items()]


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not yet known"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]".replace("[", "(").replace("]", ")")
