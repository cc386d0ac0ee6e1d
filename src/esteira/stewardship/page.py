"""Pages about data that need nothing else: their style, and the spread of a column drawn small."""

from collections.abc import Sequence
from html import escape


def page(title: str, body: str) -> str:
    """``body`` (HTML) as a whole page under ``title``."""
    style = (
        ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;"
        "padding:0 1rem}table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;"
        "padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top}dt{font-weight:600}rect{fill:#4a7fb5}"
        ".missing{color:#c0392b}input{width:100%;padding:.4rem;margin-bottom:1rem}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style><h1>{escape(title)}</h1>{body}</html>\n"
    )


def plot(bars: Sequence[tuple[str, float]]) -> str:
    """Shares with their labels as a small bar chart."""
    if not bars:
        return ""
    tallest, width = max(share for _, share in bars) or 1.0, 8
    drawn = "".join(
        f'<rect x="{place * width}" y="{30 - 30 * share / tallest:.1f}" width="{width - 1}" '
        f'height="{30 * share / tallest:.1f}"><title>{escape(label)}: {share:.1%}</title></rect>'
        for place, (label, share) in enumerate(bars)
    )
    return f'<svg width="{len(bars) * width}" height="30" role="img" aria-label="spread of values">{drawn}</svg>'
