"""Where one column's values are cut into bins, and how far two windows' shares over those bins lie apart.

Numbers are cut at the reference's deciles, with a bin below its lowest and one above its highest value, and a bin of
its own for a value that fills a decile or more. Categories are the reference's most frequent values and all others
together. Missing and infinite values have a bin each.

The distance is Jensen and Shannon's: the square root of the divergence in bits (Lin 1991; that the root is a metric:
Endres and Schindelin 2003). It is symmetric, 0 for equal shares, 1 for disjoint ones, and finite for empty bins, which
population stability index and Kullback-Leibler divergence are not. Two normal distributions half a deviation apart
are 0.2 apart.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from esteira.monitoring.distribution import LARGEST, Distribution, Floats

_DECILES = np.linspace(0.0, 1.0, 11)
_CATEGORIES = 30
_RELATIVE = 1e-6
"""Edges stand this far beside a value, so that single and double precision of one number fall into one bin."""


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of one column, cut from its reference."""

    column: str
    edges: Floats
    """Number: upper ends of all bins but the last. Empty for categories."""
    categories: tuple[str, ...]
    """Category: the values with a bin of their own."""
    is_number: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each bin, in order."""
        if not self.is_number:
            return (*self.categories, "others", "missing", "infinite")
        if self.edges.size == 0:
            return ("any", "missing", "infinite")
        ends = [f"{edge:.4g}" for edge in self.edges]
        inner = [f"{low} to {high}" for low, high in pairwise(ends)]
        return (f"up to {ends[0]}", *inner, f"above {ends[-1]}", "missing", "infinite")

    def rows(self, window: Distribution) -> Floats:
        """How many rows of ``window`` fall into each bin (n bins,)."""
        if self.is_number:
            inner = np.diff(np.concatenate([[0.0], window.cdf(self.edges), [1.0]])) * window.valued
        else:
            own = [float(window.categories.get(category, 0)) for category in self.categories]
            inner = np.array([*own, max(0.0, window.valued - sum(own))])
        return np.concatenate([inner, [float(window.missing), float(window.infinite)]])

    def place(self, values: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The number of the bin of each of ``values`` (n,) -> (n,)."""
        inner = len(self.labels) - 2
        if not self.is_number:
            names = list(self.categories)
            known = pl.DataFrame(
                {"value": names, "bin": range(len(names))}, schema={"value": pl.String, "bin": pl.Int64}
            )
            texts = values.cast(pl.String).alias("value").to_frame()
            found = texts.join(known, on="value", how="left", maintain_order="left")
            others = pl.when(pl.col("value").is_null()).then(inner).otherwise(len(names))
            return found.select(pl.coalesce("bin", others)).to_series().to_numpy().astype(np.int64)
        numbers = values.cast(pl.Float64).to_numpy()
        placed = np.searchsorted(self.edges, numbers, side="left")
        placed = np.where(np.isnan(numbers), inner, placed)
        return np.where(np.abs(numbers) > LARGEST, inner + 1, placed).astype(np.int64)


def cut(reference: Distribution) -> Bins:
    """The bins of a column, from its reference."""
    if reference.type == "category":
        frequent = sorted(reference.categories, key=lambda each: (-reference.categories[each], each))[:_CATEGORIES]
        return Bins(column=reference.name, edges=np.empty(0), categories=tuple(frequent), is_number=False)
    deciles = reference.quantile(_DECILES)
    if deciles.size == 0:
        return Bins(column=reference.name, edges=np.empty(0), categories=(), is_number=True)
    beside = _RELATIVE * np.maximum(np.abs(deciles), _RELATIVE)
    filled = np.isclose(deciles[1:], deciles[:-1], rtol=_RELATIVE, atol=0.0)
    starts = np.concatenate([[True], filled])
    edges = np.unique(np.concatenate([deciles + beside, (deciles - beside)[starts]]))
    return Bins(column=reference.name, edges=edges, categories=(), is_number=True)


def distances(rows: Floats, reference: Floats) -> Floats:
    """Jensen-Shannon distances between the shares of ``rows`` and ``reference``, bin counts (..., n bins) -> (...)."""
    left, right = _shares(rows), _shares(reference)
    middle = (left + right) / 2
    divergence = (_relative_bits(left, middle) + _relative_bits(right, middle)) / 2
    return np.asarray(np.sqrt(np.clip(divergence, 0.0, 1.0)), dtype=np.float64)


def _shares(rows: Floats) -> Floats:
    total = rows.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, total, out=np.zeros_like(rows), where=total > 0), dtype=np.float64)


def _relative_bits(shares: Floats, middle: Floats) -> Floats:
    ratio = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
    return np.asarray((shares * np.log2(ratio)).sum(axis=-1), dtype=np.float64)
