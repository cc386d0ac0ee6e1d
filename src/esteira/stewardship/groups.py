"""The groups in a training set, before anything is trained: how many rows, how labelled, how complete, how represented.

A group is one value of a column that the use case judges by (its slices): an airline, an airport. The measures are
those of a data sheet for fairness (Gebru et al. 2021, Datasheets for Datasets): counts, label rates, missingness.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from esteira.contract import GroupLimits
from esteira.errors import NotEnoughData
from esteira.model_card import Frozen


class Group(Frozen):
    """One group of a training set."""

    column: str
    value: str
    rows: int
    share: float
    label_mean: float
    missing_share: float
    """Of all its feature values."""
    live_share: float | None
    """Its share of recent predictions; None when there were none."""
    status: str
    """``pass``, ``warn`` or ``fail``."""
    sentences: tuple[str, ...]


def judge_groups(
    rows: pl.DataFrame,
    live: pl.DataFrame | None,
    *,
    columns: Sequence[str],
    label: str,
    features: Sequence[str],
    limits: GroupLimits,
) -> tuple[Group, ...]:
    """Every group of ``rows`` (n training rows), by column, then the largest first; a missing value is a group too.

    ``live`` are recently asked entities with the same ``columns``. Groups that only they have are listed with no rows.
    """
    overall = _measures(rows, label, features).row(0, named=True)
    found = []
    for column in columns:
        measured = _measures(rows, label, features, by=column)
        shares = {} if live is None or live.is_empty() else _shares(live, column)
        known = {row[column]: row for row in measured.iter_rows(named=True)}
        for value in [*known, *(each for each in shares if each not in known)]:
            row = known.get(value, {"rows": 0, "label_mean": None, "missing_share": None})
            found.append(_judge(column, value, row, overall, shares.get(value, 0.0) if shares else None, limits))
    return tuple(found)


def require_no_failed(groups: Sequence[Group], training_set: str) -> None:
    """Raise NotEnoughData naming every group that failed."""
    if failed := [sentence for each in groups if each.status == "fail" for sentence in each.sentences]:
        raise NotEnoughData(
            f"Training set {training_set} is not fair to learn from. {' '.join(failed)} Nothing was trained. Complete "
            "the data of these groups, or set other limits (groups) in the use case."
        )


def told(groups: Sequence[Group]) -> tuple[str, ...]:
    """What a person should know of the groups: how many pass, and every reason why one does not."""
    passed = sum(each.status == "pass" for each in groups)
    return (
        f"{passed} of {len(groups)} groups pass.",
        *(f"{each.status}: {sentence}" for each in groups for sentence in each.sentences),
    )


def _measures(rows: pl.DataFrame, label: str, features: Sequence[str], by: str | None = None) -> pl.DataFrame:
    measures = (
        pl.len().alias("rows"),
        pl.col(label).mean().alias("label_mean"),
        pl.mean_horizontal(*(pl.col(name).is_null().mean() for name in features)).alias("missing_share"),
    )
    if by is None:
        return rows.select(measures)
    return rows.group_by(by).agg(measures).sort("rows", by, descending=[True, False], nulls_last=True)


def _shares(live: pl.DataFrame, column: str) -> Mapping[str | None, float]:
    known = live[column].null_count() < live.height  # requests bring keys along, not every feature
    return dict(live[column].value_counts(normalize=True, sort=True).iter_rows()) if known else {}


def _judge(
    column: str,
    value: object,
    row: Mapping[str, Any],
    overall: Mapping[str, Any],
    live: float | None,
    limits: GroupLimits,
) -> Group:
    name, share = f"{column}={value}", row["rows"] / max(1, overall["rows"])
    warned: list[str] = []
    failed: list[str] = []
    if row["rows"] < limits.minimum_rows:
        warned.append(f"{name} has {row['rows']:,} rows; {limits.minimum_rows:,} are needed to judge it.")
    else:
        mean, usual = row["label_mean"], overall["label_mean"]
        if mean > usual * limits.label_ratio or mean < usual / limits.label_ratio:
            warned.append(f"{name} has the mean label {mean:.3f}, all rows {usual:.3f}.")
        excess = row["missing_share"] - overall["missing_share"]
        if excess > limits.missing_warn:
            (failed if excess > limits.missing_fail else warned).append(
                f"{name} lacks {row['missing_share']:.0%} of feature values, all rows {overall['missing_share']:.0%}."
            )
    if live is not None and live >= limits.live_share and share < live * limits.represented:
        warned.append(f"{name} is {share:.1%} of the training set and {live:.1%} of recent predictions.")
    return Group(
        column=column,
        value=str(value),
        rows=int(row["rows"]),
        share=share,
        label_mean=row["label_mean"] or 0.0,
        missing_share=row["missing_share"] or 0.0,
        live_share=live,
        status="fail" if failed else "warn" if warned else "pass",
        sentences=(*failed, *warned),
    )
