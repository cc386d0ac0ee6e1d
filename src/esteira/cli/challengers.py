"""``esteira traffic`` and ``esteira ab``: a challenger beside the champion, and what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import InputError, MissingData
from esteira.settings import settings

if TYPE_CHECKING:
    from esteira.monitoring.comparison import Comparison, Look

ab = typer.Typer(help="How a challenger does beside the champion.", no_args_is_help=True)
console = Console()
_COLUMNS, _LINES = 60, 12
UseCaseName = Annotated[str, typer.Argument(help="A use case, such as flight_delay.")]


def traffic(
    use_case: UseCaseName,
    shadow: Annotated[str | None, typer.Option(help="Ask this model what the champion is asked, for nobody.")] = None,
    split: Annotated[str | None, typer.Option(help="Let this model answer a share of entities.")] = None,
    share: Annotated[float | None, typer.Option(help="Which share, with --split: between 0 and 1.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Take the challenger away.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is kept in the ledger and the audit log.")] = "",
    actor: Annotated[str | None, typer.Option(help="Who decided it. Default: ESTEIRA_ACTOR.")] = None,
) -> None:
    """Put a challenger beside the champion, change its share, or take it away; without an option, say how it is."""
    from esteira.stores import clock
    from esteira.stores.releases import ledger
    from esteira.stores.releases import traffic as store

    declared = use_cases.get(use_case)
    name = declared.name
    wanted = [each for each in (shadow, split, off or None) if each is not None]
    if len(wanted) > 1 or (share is not None and split is None) or (split is not None and share is None):
        raise InputError("Say one of: --shadow MODEL, --split MODEL --share SHARE, --off.")
    if not wanted:
        live = ledger.live(name)
        console.print(
            f"Release {live.id}, {live.model_version}: {live.traffic.in_words() if live.traffic else 'no challenger'}.",
            highlight=False,
            soft_wrap=True,
        )
        return
    # The ledger tells the belt's time: in a replay the wall clock would be years ahead of every later release.
    said: dict[str, Any] = {"actor": actor or settings().actor, "reason": reason, "at": clock.horizon(declared)}
    if shadow is not None:
        release = store.shadow(name, shadow, **said)
    elif split is not None and share is not None:
        release = store.split(name, split, share, **said)
    else:
        release = store.stop(name, **said)
    now = release.traffic.in_words() if release.traffic else "no challenger"
    console.print(f"Release {release.id}, {release.model_version}: {now}.", highlight=False, soft_wrap=True)


@ab.callback()
def _verbs() -> None:
    """Typer makes a command of its own of an only one, without its name."""


@ab.command()
def report(
    use_case: UseCaseName,
    as_of: Annotated[str | None, typer.Option(help="What was known then. Default: now, by the belt's clock.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the plot into this SVG file, too.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole comparison as JSON.")] = False,
) -> None:
    """Compare the newest challenger with its champion: effect, interval, and how they developed.

    The interval holds at every moment, so it may be looked at as often as one likes.
    """
    from esteira.stores import clock
    from esteira.stores.answers import outcomes, predictions
    from flows.steps.traffic import compare_challenger

    declared = use_cases.get(use_case)
    outcomes.collect(declared.name)
    predictions.collect(declared.name)
    compared = compare_challenger.fn(declared.name, utc(as_of) if as_of else clock.now(declared))
    if compared is None:
        raise MissingData(
            f"Use case {declared.name!r} never had a challenger beside its champion. Put one there: "
            f"esteira traffic {declared.name} --shadow MODEL --reason …"
        )
    if out is not None and compared.looks:
        from esteira.cli import plots

        out.write_text(plots.difference_over_entities(compared))
    if json:
        console.print_json(compared.model_dump_json())
        return
    console.print("\n".join(_told(compared)), highlight=False, markup=False, soft_wrap=True)


def _told(compared: "Comparison") -> list[str]:
    told = [f"{compared.mode}: {compared.challenger} beside {compared.champion}", compared.sentence]
    if compared.losses is not None:
        names = (compared.champion, compared.challenger)
        told += [
            f"  {name}: {compared.loss} {loss:.4f} on {count:,} entities"
            for name, loss, count in zip(names, compared.losses, compared.entities, strict=True)
        ]
    if compared.looks:
        widest = max(abs(each) for each in (compared.looks[-1].low, compared.looks[-1].high)) * 2
        told += [f"{'entities':>10}  challenger better {'0':^{_COLUMNS - 36}} challenger worse"]
        step = max(1, len(compared.looks) // _LINES)
        told += [_drawn(each, widest) for each in compared.looks[::-1][::step][::-1]]
    return told


def _drawn(look: "Look", widest: float) -> str:
    """An interval as a line of text: zero in the middle, ``widest`` at the edges."""

    def column(value: float) -> int:
        return min(_COLUMNS, max(0, round((value / widest + 1) / 2 * _COLUMNS)))

    low, middle, high = column(look.low), column(look.estimate), column(look.high)
    line = [" "] * (_COLUMNS + 1)
    line[low : high + 1] = "─" * (high - low + 1)
    line[_COLUMNS // 2] = "┼" if low <= _COLUMNS // 2 <= high else "│"
    line[middle] = "●"
    return f"{look.entities:>10,}  {''.join(line)}  {look.estimate:+.4f} ({look.low:+.4f} to {look.high:+.4f})"
