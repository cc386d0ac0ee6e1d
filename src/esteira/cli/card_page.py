"""A model card as a page for people: the same sections as Markdown, and as HTML with its plots inside."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, select_autoescape

from esteira.contract import PRIMARY
from esteira.model_card import CALIBRATION, CONSTANT, IMPORTANCES, Estimate, ModelCard
from esteira.monitoring.distribution import Profile
from esteira.stores.releases.ledger import Release
from esteira.training.verdict import Verdict

Rows = tuple[tuple[str, ...], ...]
_FIRST_PLOTS = (CALIBRATION, IMPORTANCES)


@dataclass(frozen=True)
class Section:
    """One part of the page: sentences, then a table, then pictures; any of them may be absent."""

    title: str
    sentences: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: Rows = ()
    plots: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """All that a page tells: the card, who approved the model and where it was live, its reference and its plots."""

    card: ModelCard
    verdicts: Sequence[Verdict]
    releases: Sequence[Release]
    reference: Profile
    plots: Mapping[str, bytes] = field(default_factory=dict)
    """File name -> PNG."""

    @property
    def title(self) -> str:
        """The model's full name."""
        return f"{self.card.use_case}:{self.card.version}"


def markdown(subject: Subject) -> str:
    """The page as Markdown; its pictures are files of their own names beside it."""
    lines = [f"# {subject.title}", ""]
    for each in sections(subject):
        lines += [f"## {each.title}", "", *(f"- {_plain(sentence)}" for sentence in each.sentences)]
        if each.rows:
            table = (each.header, tuple("---" for _ in each.header), *each.rows)
            lines += ["", *("| " + " | ".join(map(_plain, row)) + " |" for row in table)]
        lines += [f"\n![{name}]({name})" for name in each.plots] + [""]
    return "\n".join(lines)


def html(subject: Subject) -> str:
    """The page as one HTML file that needs nothing else."""
    pictures = {name: b64encode(content).decode() for name, content in subject.plots.items()}
    page = Environment(loader=PackageLoader("esteira.cli", "."), autoescape=select_autoescape())
    return page.get_template("card.html").render(title=subject.title, sections=sections(subject), pictures=pictures)


def sections(subject: Subject) -> tuple[Section, ...]:
    """What the page tells, in order."""
    card = subject.card
    plots = sorted(subject.plots, key=lambda name: (name not in _FIRST_PLOTS, name))
    return (
        Section(
            "Purpose",
            (
                card.purpose,
                f"It predicts {'a probability' if card.kind == 'binary' else 'a number'}; its owner is {card.owner}.",
            ),
        ),
        Section("Limits", card.limits),
        Section("Approvals", _approvals(subject)),
        Section(
            "Data",
            (
                f"Trained on {card.training_rows:,} rows asked for from {card.trained_from:%Y-%m-%d} to "
                f"{card.trained_until:%Y-%m-%d}, of what was known at {card.as_of:%Y-%m-%d %H:%M} UTC.",
                f"Judged on rows from {card.holdout_from:%Y-%m-%d} to {card.holdout_until:%Y-%m-%d}, not seen before.",
                f"Cause: {card.cause}",
                f"Training set SHA-256 {card.training_set_sha256}.",
            ),
            ("table", "version (esteira data show)"),
            tuple((name, str(version)) for name, version in card.data_versions.items()),
        ),
        Section(
            "Quality on held-out rows",
            (
                f"The constant prediction {_number(card.baseline.get(CONSTANT))} is the baseline. "
                f"Intervals are 95 %, from resampled days.",
            ),
            ("metric", "value", "from", "to", "baseline"),
            tuple((name, *_figures(each), _number(card.baseline.get(name))) for name, each in card.metrics.items()),
            tuple(plots),
        ),
        Section(
            "Slices",
            ("Slices with too few rows or days have no figure.",) if any(not e.metrics for e in card.slices) else (),
            ("slice", "rows", PRIMARY[card.kind], "from", "to"),
            tuple(_slice(each.slice, each.metrics.get(PRIMARY[card.kind])) for each in card.slices),
        ),
        Section(
            "Model",
            (f"{card.candidate}. {card.parameters_source}", *card.selection),
            ("parameter", "value"),
            (*((name, str(value)) for name, value in card.parameters.items()), ("seed", str(card.seed))),
        ),
        Section(
            "From output to answer",
            (
                f"Predictions stay within {card.bounds[0]:g} to {card.bounds[1]:g}.",
                *((f"From {card.threshold:g} on the decision is yes.",) if card.kind == "binary" else ()),
                *(f"Rule {rule.name}: {rule.reason}" for rule in card.rules),
            ),
        ),
        Section("Features and reference profile", (f"Feature service {card.feature_service}.",), *_features(subject)),
        Section(
            "How it was made",
            (
                f"Code {card.code_commit} (SHA-256 {card.code_sha256}), lock file SHA-256 {card.lock_sha256}.",
                f"{card.hardware}: {card.cost.get('wall_seconds', 0):.1f} s, "
                f"{card.cost.get('cpu_seconds', 0):.1f} s of processor, "
                f"{card.cost.get('peak_memory_mb', 0):,.0f} MB at most.",
                f"{card.size_bytes / 1e6:.2f} MB; a row takes {card.one_row_ms:.2f} ms, p99 {card.one_row_ms_p99:.2f}.",
                f"Tracking run {card.run_id}. Rebuild it: esteira reproduce {subject.title}",
            ),
            ("library or file", "version or SHA-256"),
            (
                *((name.removeprefix("version/"), version) for name, version in card.environment.items()),
                *card.files.items(),
            ),
        ),
    )


def _approvals(subject: Subject) -> tuple[str, ...]:
    judged = [f"{'Passed' if each.passed else 'Refused'}: {' '.join(each.sentences)}" for each in subject.verdicts]
    live = [
        f"Release {each.id} on {each.released_at:%Y-%m-%d %H:%M} UTC by {each.actor}: {each.reason}"
        for each in subject.releases
    ]
    return (*(judged or ["Not judged yet."]), *(live or ["Never released."]))


def _features(subject: Subject) -> tuple[tuple[str, ...], Rows]:
    rows = []
    for column in sorted(subject.card.columns, key=lambda each: -subject.card.importances.get(each.name, 0.0)):
        found = subject.reference.column(column.name)
        spread = ", ".join(f"{value:.4g}" for value in found.quantile([0.05, 0.5, 0.95]))
        common = ", ".join(sorted(found.categories, key=lambda name: -found.categories[name])[:3])
        rows.append(
            (
                column.name, column.view, column.type, f"{subject.card.importances.get(column.name, 0.0):.1%}",
                f"{found.missing / found.count:.1%}" if found.count else "", spread or common,
            )
        )  # fmt: skip
    return ("feature", "view", "type", "importance", "missing", "5 %, median, 95 %, or commonest"), tuple(rows)


def _slice(name: str, figure: Estimate | None) -> tuple[str, ...]:
    return (name, f"{figure.rows:,}", *_figures(figure)) if figure else (name, "too few", "", "", "")


def _figures(figure: Estimate) -> tuple[str, str, str]:
    return f"{figure.value:.4f}", f"{figure.low:.4f}", f"{figure.high:.4f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
