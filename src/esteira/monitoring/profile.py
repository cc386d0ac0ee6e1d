"""Profiles of feature and prediction columns: built from rows, merged, read. The only room that knows whylogs.

A profile is bytes that whylogs itself can open (``DatasetProfileView.deserialize``) followed by their SHA-256, because
whylogs loads 46 of 300 profiles with one flipped bit without a word. It holds sketches and counts, never rows; the
values of category columns are kept, so columns that name persons are not to be profiled.

Sketches of more than 1,024 numbers are random by construction: the same rows give the same figures within 0.3 %,
but not the same bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import sqrt
from typing import Any

import numpy as np
import polars as pl

import esteira.settings  # noqa: F401  switches whylogs' telemetry off before it is imported
from esteira.errors import DataError, WrongColumns
from esteira.model_card import Column
from esteira.monitoring.distribution import LARGEST, Distribution, Profile

if not hasattr(np, "unicode_"):
    # whylogs 1.6.4 is frozen upstream and names np.unicode_, which numpy 2 removed (whylogs issue 1600).
    np.unicode_ = np.str_  # type: ignore[attr-defined]

from whylogs.core.metrics.column_metrics import ColumnCountsMetric
from whylogs.core.metrics.metric_components import (
    FractionalComponent,
    FrequentStringsComponent,
    IntegralComponent,
    KllComponent,
)
from whylogs.core.metrics.metrics import DistributionMetric, FrequentItemsMetric, MetricConfig
from whylogs.core.proto import ChunkHeader, ChunkMessage, DatasetProfileHeader, DatasetSegmentHeader
from whylogs.core.view.column_profile_view import ColumnProfileView
from whylogs.core.view.dataset_profile_view import WHYLOGS_MAGIC_HEADER_LEN, DatasetProfileView

_DIGEST = sha256().digest_size
_GRID = 1000
_CATEGORY_CHARACTERS = 128
_CONFIG = MetricConfig(fi_lg_max_k=12)
"""Up to 3,072 categories are counted exactly."""
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Which window a profile is from stands in its place in the store; whylogs insists on a time."""


@dataclass
class _Tally:
    """One column while it is counted; ``sketch`` is whylogs' KLL sketch of numbers or its count of categories."""

    is_number: bool
    sketch: Any
    count: int = 0
    missing: int = 0
    infinite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean."""

    @property
    def valued(self) -> int:
        return self.count - self.missing - self.infinite

    def add(self, other: "_Tally") -> None:
        """Take in ``other``; means and squares by Chan, Golub and LeVeque 1979."""
        if self.is_number != other.is_number:
            raise DataError("A column is a number in one profile and a category in another. Merge one model's only.")
        both = self.valued + other.valued
        if both:
            step = other.mean - self.mean
            self.squares += other.squares + step * step * self.valued * other.valued / both
            self.mean += step * other.valued / both
        self.sketch.merge(other.sketch)
        self.count += other.count
        self.missing += other.missing
        self.infinite += other.infinite


def build_profile(frame: pl.DataFrame, columns: Sequence[Column]) -> bytes:
    """Profile ``columns`` of ``frame`` (any number of rows); other columns of the frame are left out.

    Only what the monitor reads is computed: counts, the distribution of numbers (a KLL sketch, Karnin, Lang and
    Liberty 2016, with mean and variance) and the frequencies of categories, from whole arrays.

    Raises:
        WrongColumns: a column is absent, named twice, or a number column holds something else.
    """
    _require_columns(frame, columns)
    return _seal(
        {
            column.name: _count_numbers(frame[column.name])
            if column.type == "number"
            else _count_categories(frame[column.name])
            for column in columns
        }
    )


def merge(profiles: Iterable[bytes]) -> bytes:
    """The profile of all rows of ``profiles`` together, in any order; columns only some of them have are kept.

    The same profile given twice counts twice: windows are told apart by the store, not here.

    Raises:
        DataError: there is no profile to merge, or one of them is damaged.
    """
    merged: dict[str, _Tally] | None = None
    for profile in profiles:
        opened = _open(profile)
        if merged is None:
            merged = opened
            continue
        for name, tally in opened.items():
            if name in merged:
                merged[name].add(tally)
            else:
                merged[name] = tally
    if merged is None:
        raise DataError("There is no profile to merge. Give at least one; windows without traffic have none.")
    return _seal(merged)


def read_profile(profile: bytes) -> Profile:
    """What ``profile`` says about each of its columns. Raises DataError when it is damaged."""
    return Profile({name: _distribution(name, tally) for name, tally in _open(profile).items()})


def is_intact(profile: bytes) -> bool:
    """Whether ``profile`` is whole and as it was written, by its checksum."""
    return sha256(profile[:-_DIGEST]).digest() == profile[-_DIGEST:]


def _require_columns(frame: pl.DataFrame, columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise WrongColumns(f"Cannot profile columns named twice: {', '.join(twice)}. Name each column once.")
    if absent := [name for name in names if name not in frame.columns]:
        raise WrongColumns(
            f"Cannot profile columns that are not there: {', '.join(absent)}. The frame has: "
            f"{', '.join(frame.columns)}. Profile the columns of the model card from the log of the same model."
        )
    for column in columns:
        kind = frame.schema[column.name]
        if column.type == "number" and not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            raise WrongColumns(
                f"Cannot profile column {column.name!r} as numbers: it holds {kind}. Expected numbers; cast it, or "
                "declare it as category in the model card."
            )


def _count_numbers(values: pl.Series) -> _Tally:
    numbers = values.cast(pl.Float64).drop_nulls().to_numpy()
    numbers = numbers[~np.isnan(numbers)]
    finite = numbers[np.abs(numbers) <= LARGEST]
    sketch = DistributionMetric.zero(_CONFIG).kll.value
    mean = float(finite.mean()) if finite.size else 0.0
    if finite.size:
        sketch.update(array=finite)
    return _Tally(
        is_number=True,
        sketch=sketch,
        count=len(values),
        missing=len(values) - numbers.size,
        infinite=numbers.size - finite.size,
        mean=mean,
        squares=float(np.square(finite - mean).sum()),
    )


def _count_categories(values: pl.Series) -> _Tally:
    sketch = FrequentItemsMetric.zero(_CONFIG).frequent_strings.value
    texts = values.cast(pl.String).drop_nulls().str.slice(0, _CATEGORY_CHARACTERS)
    # One weighted update per distinct value instead of one per row.
    for text, rows in texts.value_counts().iter_rows():
        sketch.update(text, rows)
    return _Tally(is_number=False, sketch=sketch, count=len(values), missing=values.null_count())


def _distribution(name: str, tally: _Tally) -> Distribution:
    numbers = tally.valued if tally.is_number else 0
    grid = min(numbers, _GRID)
    shares = ((np.arange(grid) + 0.5) / max(1, grid)).tolist()
    items = [] if tally.is_number or tally.sketch.is_empty() else _frequent_items(tally.sketch)
    return Distribution(
        name=name,
        type="number" if tally.is_number else "category",
        count=tally.count,
        missing=tally.missing,
        infinite=tally.infinite,
        mean=tally.mean if numbers else None,
        deviation=sqrt(tally.squares / (numbers - 1)) if numbers > 1 else None,
        quantiles=np.asarray(tally.sketch.get_quantiles(shares) if numbers else [], dtype=np.float64),
        lowest=float(tally.sketch.get_min_value()) if numbers else None,
        highest=float(tally.sketch.get_max_value()) if numbers else None,
        categories={item.value: int(item.est) for item in items},
    )


def _frequent_items(sketch: Any) -> list[Any]:
    return list(FrequentItemsMetric(FrequentStringsComponent(sketch)).strings)


def _seal(columns: dict[str, _Tally]) -> bytes:
    views = {name: ColumnProfileView(_metrics(tally)) for name, tally in columns.items()}
    body = bytes(DatasetProfileView(columns=views, dataset_timestamp=_NO_TIME, creation_timestamp=_NO_TIME).serialize())
    return body + sha256(body).digest()


def _metrics(tally: _Tally) -> dict[str, Any]:
    counts = ColumnCountsMetric(
        n=IntegralComponent(tally.count), null=IntegralComponent(tally.missing), inf=IntegralComponent(tally.infinite)
    )
    if not tally.is_number:
        return {"counts": counts, "frequent_items": FrequentItemsMetric(FrequentStringsComponent(tally.sketch))}
    spread = DistributionMetric(
        kll=KllComponent(tally.sketch), mean=FractionalComponent(tally.mean), m2=FractionalComponent(tally.squares)
    )
    return {"counts": counts, "distribution": spread}


def _open(profile: bytes) -> dict[str, _Tally]:
    body, digest = profile[:-_DIGEST], profile[-_DIGEST:]
    if not is_intact(profile):
        raise DataError(
            f"A profile of {len(profile)} bytes is damaged: its checksum is {sha256(body).hexdigest()[:12]}…, expected "
            f"{digest.hex()[:12]}…. Build it again from the prediction log."
        )
    # whylogs' own reader makes several classes per column and takes 10 ms for 25 columns; this takes a twentieth.
    _, start = _message(body, WHYLOGS_MAGIC_HEADER_LEN, DatasetSegmentHeader)
    header, start = _message(body, start, DatasetProfileHeader)
    paths = dict(header.indexed_metric_paths)
    columns = {}
    for name in sorted(header.column_offsets):
        chunk, at = _message(body, start + header.column_offsets[name].offsets[0], ChunkHeader)
        parts = ChunkMessage.FromString(body[at : at + chunk.length]).metric_components
        columns[name] = _tally({paths[index]: part for index, part in parts.items()})
    return columns


def _tally(parts: dict[str, Any]) -> _Tally:
    is_number = "distribution/kll" in parts
    if is_number:
        sketch = KllComponent.mtype.deserialize(parts["distribution/kll"].kll.sketch)
    else:
        sketch = FrequentStringsComponent.mtype.deserialize(
            parts["frequent_items/frequent_strings"].frequent_items.sketch
        )
    return _Tally(
        is_number=is_number,
        sketch=sketch,
        count=parts["counts/n"].n,
        missing=parts["counts/null"].n,
        infinite=parts["counts/inf"].n,
        mean=parts["distribution/mean"].d if is_number else 0.0,
        squares=parts["distribution/m2"].d if is_number else 0.0,
    )


def _message(body: bytes, at: int, kind: Any) -> tuple[Any, int]:
    """The message of ``kind`` that starts at ``at`` with its length, and where what follows it starts."""
    length = shift = 0
    while True:
        byte = body[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind.FromString(body[at : at + length]), at + length
