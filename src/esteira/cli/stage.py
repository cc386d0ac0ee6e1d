"""What the demo tells while it runs, and remembers for its summary."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from esteira.cli.traffic import Load
from flows.monitor import Monitored


@dataclass
class Story:
    """What happened, for the summary and the report."""

    requests: int = 0
    cached_answers: int = 0
    precomputed: int = 0
    monitored: list[Monitored] = field(default_factory=list)
    load: Load = field(default_factory=Load)
    changed_over_in: float | None = None
    timings: list[tuple[str, float]] = field(default_factory=list)


@contextmanager
def stage(console: Console, story: Story, title: str) -> Iterator[Callable[[str], None]]:
    """Show that something is going on, then how it went and how long it took."""
    said: list[str] = []
    started = time.perf_counter()
    with console.status(f"[cyan]{title} …"):
        yield said.append
    seconds = time.perf_counter() - started
    story.timings.append((title, seconds))
    console.print(
        f"[green]✓[/] {title} [dim]{seconds:.1f} s[/]",
        *(f"\n  [dim]{each}[/]" for each in said),
        highlight=False,
        sep="",
    )
