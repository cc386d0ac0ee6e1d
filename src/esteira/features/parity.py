"""The parity proof: are the features that serving used the ones the offline path gives for the same instants?

Every value is compared, and each difference is given the cause that the evidence beside it shows:

- *type*: the two sides hold values of different kinds, or one side cut numbers to whole ones;
- *time zone*: moments, hours of the day or a view's event times are shifted by whole quarter-hours;
- *expired*: one side used a value older than its view's ttl;
- *late write*: one side had a newer row, already known, that had not reached the other side yet;
- *default*: one side put a constant where the other has no value;
- *transformation*: both computed a value from the very same rows, and differ;
- *unknown*: nothing of this fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from esteira.contract import CREATED, EVENT, MOMENT, FeatureRows
from esteira.errors import NotEnoughData, WrongColumns
from esteira.features.parity_causes import REPLAYED, cause, clock_is_shifted, columns_of, different, shifted_views

CAUSES = ("type", "time zone", "expired", "late write", "default", "transformation", "unknown")
DIFFERENCE_SCHEMA = {
    "prediction_id": pl.String(),
    "column": pl.String(),
    "cause": pl.String(),
    "explained": pl.Boolean(),
    "logged": pl.String(),
    "replayed": pl.String(),
    "as_of": MOMENT,
}


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    ``differences`` has one row per differing value: prediction_id, column, cause, whether it is explained, both values
    as text, as_of. A late write is explained when the newer row became known after the horizon that serving had
    ingested to: nobody could have had it. Everything else is a fault.
    """

    rows: int
    values: int
    differences: pl.DataFrame
    sentences: tuple[str, ...]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Cause -> column -> differing values."""
        found: dict[str, dict[str, int]] = {}
        for name, column, count in self.differences.group_by("cause", "column").len().sort("cause", "column").rows():
            found.setdefault(name, {})[column] = count
        return found

    @property
    def unexplained(self) -> int:
        """Differing values that are a fault."""
        return int((~self.differences["explained"]).sum())


def parity_frame(
    prediction_ids: Sequence[str], as_of: Sequence[Any], horizon: Sequence[Any], features: FeatureRows
) -> pl.DataFrame:
    """Lay out feature values with their times as ``compare`` takes them, one row per prediction.

    ``horizon`` is up to when features had been ingested for the online store as of each request; None if unknown.
    """
    times = {
        f"{view}__{name}": pl.Series(moments, dtype=MOMENT)
        for name, per_view in ((EVENT, features.event_times), (CREATED, features.created_times))
        for view, moments in per_view.items()
    }
    head = {
        "prediction_id": pl.Series(list(prediction_ids), dtype=pl.String),
        "as_of": pl.Series(list(as_of), dtype=MOMENT),
        "horizon": pl.Series(list(horizon), dtype=MOMENT),
    }
    values = {name: _series(column) for name, column in features.values.items()}
    return pl.DataFrame({**head, **values, **times})


def compare(
    logged: pl.DataFrame,
    replayed: pl.DataFrame,
    columns: Mapping[str, Sequence[str]],
    *,
    ttls: Mapping[str, timedelta | None],
    tolerance: float = 1e-6,
) -> Parity:
    """Compare what was served with what the offline path gives, value by value, joined by ``prediction_id``.

    ``columns`` says for each feature which views' stored values it is made of, none for the request alone; ``ttls``
    how long a view's values live, None for ever. Both frames are laid out by ``parity_frame``; of ``as_of`` and
    ``horizon`` the logged ones count. Numbers are equal within ``tolerance`` of the larger one (and absolutely
    below 1), everything else exactly; null and NaN are both missing.

    Raises:
        WrongColumns: a feature, a view's times or an id column is absent from a frame, or an id occurs twice.
        NotEnoughData: a logged prediction was not replayed.
    """
    views = sorted({view for sources in columns.values() for view in sources})
    _check(logged, replayed, columns, views)
    kept = ["prediction_id", *columns, *columns_of(views)]
    joined = logged.join(replayed.select(kept), on="prediction_id", how="left", suffix=REPLAYED, maintain_order="left")
    shifted = shifted_views(joined, columns, views, tolerance)
    stored_times = {f"{view}__{EVENT}": [view] for view in shifted}
    found = []
    for column, sources in {**columns, **stored_times}.items():
        differs = different(joined, column, tolerance)
        if not differs.any():
            continue
        other = f"{column}{REPLAYED}"
        rows = joined.with_columns(shifted_clock=pl.lit(clock_is_shifted(joined, column))).filter(differs)
        found.append(
            rows.select(
                "prediction_id",
                pl.lit(column).alias("column"),
                **cause(rows, column, sources, ttls=ttls, shifted=shifted),
                logged=_text(rows[column]),
                replayed=_text(rows[other]),
                as_of="as_of",
            )
        )
    differences = pl.concat(found) if found else pl.DataFrame(schema=DIFFERENCE_SCHEMA)
    return Parity(
        rows=joined.height,
        values=joined.height * len(columns),
        differences=differences,
        sentences=_sentences(differences, joined.height, len(columns), shifted),
    )


def _series(column: Sequence[Any]) -> pl.Series:
    kinds = {type(value) for value in column} - {type(None)}
    if len(kinds) > 1 and kinds != {int, float}:
        # True would become 1.0 and the fault would be gone; as text the column is found to be of another type.
        return pl.Series([None if value is None else str(value) for value in column], dtype=pl.String)
    return pl.Series(column, strict=False)


def _check(
    logged: pl.DataFrame, replayed: pl.DataFrame, columns: Mapping[str, Sequence[str]], views: list[str]
) -> None:
    for name, frame, extra in (("logged", logged, ["as_of", "horizon"]), ("replayed", replayed, [])):
        needed = ["prediction_id", *extra, *columns, *columns_of(views)]
        if absent := [column for column in needed if column not in frame.columns]:
            raise WrongColumns(
                f"Cannot compare features: the {name} frame has no {', '.join(map(repr, absent))}. "
                "parity_frame lays out both sides; give it every feature and every view's times."
            )
        if twice := frame.height - frame["prediction_id"].n_unique():
            raise WrongColumns(
                f"Cannot compare features: {twice} rows of the {name} frame repeat a prediction_id. "
                "Expected one row per prediction; keep the first answer of each."
            )
    if lost := logged.join(replayed, on="prediction_id", how="anti")["prediction_id"].to_list():
        raise NotEnoughData(
            f"Cannot compare features: {len(lost)} of {logged.height} logged predictions were not replayed, the first "
            f"is {lost[0]!r}. Replay all of them: a lost row would look like agreement."
        )


def _text(values: pl.Series) -> pl.Series:
    return values.cast(pl.String) if not values.dtype.is_nested() else values.map_elements(str, return_dtype=pl.String)


def _sentences(differences: pl.DataFrame, rows: int, columns: int, shifted: Sequence[str]) -> tuple[str, ...]:
    if differences.is_empty():
        return (f"All {rows * columns:,} values of {rows:,} predictions are the same online and offline.",)
    counted = differences.group_by("cause", "explained").agg(
        values=pl.len(),
        predictions=pl.col("prediction_id").n_unique(),
        columns=pl.col("column").unique().sort(),
        example=pl.struct("prediction_id", "column", "logged", "replayed").sort_by("prediction_id").first(),
    )
    order = {name: place for place, name in enumerate(CAUSES)}
    said = []
    for row in sorted(counted.iter_rows(named=True), key=lambda each: (order[each["cause"]], each["explained"])):
        example = row["example"]
        names = ", ".join(row["columns"][:5]) + (" …" if len(row["columns"]) > 5 else "")
        later = ", known only after serving had last ingested" if row["explained"] else ""
        said.append(
            f"{row['cause']}{later}: {row['values']:,} values of {row['predictions']:,} predictions in {names}; "
            f"prediction {example['prediction_id']} had {example['column']} = {example['logged']} online, "
            f"{example['replayed']} offline."
        )
    for view in shifted:
        said.append(f"The event times of view {view!r} are shifted by whole quarter-hours: a time zone was lost.")
    return tuple(said)
