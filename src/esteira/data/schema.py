"""The reviewed schema of a source: what its records look like, and what happens to those that do not.

It is a JSON file beside the use case, proposed from data (``propose``), read and changed by people, and committed.
Every slice is checked against it. Moments are bounded by their distance: ``event_timestamp`` from
``created_timestamp``, every other moment from ``event_timestamp``, in seconds; so a bound does not age.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import polars as pl
from pydantic import ValidationError

from esteira.contract import EVENT, RawTable
from esteira.errors import InputError, WrongColumns
from esteira.model_card import Frozen

Action = Literal["warn", "quarantine", "fail"]
Kind = Literal["number", "category", "moment", "identifier"]

ROW_RULES = ("required", "finite", "range", "category", "unique", "time order")
"""Rules that single rows break: those can be quarantined."""
SLICE_RULES = ("null share", "shift", "outliers", "balance", "silence")
"""Rules about a slice as a whole: they warn or fail."""
POLICY: Mapping[str, Action] = {
    **dict.fromkeys(ROW_RULES, "quarantine"),
    "null share": "fail",
    "shift": "fail",
    "outliers": "warn",
    "balance": "warn",
    "silence": "warn",
}
"""What a proposal sets; the committed file decides."""


class ColumnSchema(Frozen):
    """One column: its type, and the bounds its values keep. A bound that is None is not checked."""

    type: str
    kind: Kind
    required: bool
    null_share: float = 0.0
    """The largest share of nulls in a slice, where the column is not required."""
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] | None = None
    is_open: bool = False
    """A category not listed is told of, and taken."""
    fences: tuple[float, float] | None = None
    """Values outside are outliers: quartiles and three times their distance (Tukey's far fences)."""
    outlier_share: float = 0.0
    largest_share: float | None = None
    """The largest share of a slice that one category may have."""
    shift: float | None = None
    """The largest distance (Jensen-Shannon, 0 to 1) of a slice's values from those of the version before."""


class TableSchema(Frozen):
    """One table: its columns, its bounds as a whole, and what is done when a rule is broken."""

    columns: Mapping[str, ColumnSchema]
    unique: tuple[str, ...]
    """A record is one combination of these and its two timestamps."""
    silence_hours: float | None = None
    """The longest time without any record."""
    quarantined_share: float = 0.2
    """With a larger share of offending rows, the source has changed, not some rows: nothing is written."""
    policy: Mapping[str, Action] = POLICY


class SourceSchema(Frozen):
    """The schema of every table of one source."""

    source: str
    tables: Mapping[str, TableSchema]


def to_text(schema: SourceSchema) -> str:
    """The file's text: stable and made for reading differences line by line."""
    return json.dumps(schema.model_dump(mode="json", exclude_defaults=True), indent=1, ensure_ascii=False) + "\n"


def from_text(text: str, where: str) -> SourceSchema:
    """The schema in a file's ``text``. Raises InputError naming the file and what is wrong in it."""
    try:
        schema = SourceSchema.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"The schema in {where} cannot be read: {error}. Mend it, or propose it anew: esteira data schema propose"
        ) from error
    for name, table in schema.tables.items():
        unknown = sorted(set(table.policy) - set(POLICY))
        mild = sorted(rule for rule in SLICE_RULES if table.policy.get(rule) == "quarantine")
        if unknown or mild:
            raise InputError(
                f"The policy of table {name!r} in {where} names {unknown or mild}. Known rules: {', '.join(POLICY)}; "
                f"of these {', '.join(SLICE_RULES)} speak of a slice as a whole: set them to warn or fail."
            )
    return schema


def require_declared(schema: TableSchema, table: RawTable, where: str) -> None:
    """Raise WrongColumns, showing the difference, unless the reviewed columns are those the table declares."""
    reviewed = {name: column.type for name, column in schema.columns.items()}
    if differences := describe_columns(reviewed, table.schema):
        raise WrongColumns(
            f"The schema of table {table.name!r} in {where} is not what is declared:\n  "
            + "\n  ".join(differences)
            + "\nA changed schema is never taken silently. Propose it, read the difference, accept it: "
            "esteira data schema propose, diff, accept."
        )


def describe_columns(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """How the columns and types ``after`` differ from those ``before``, one sentence each; order is not told."""
    was, now = ({name: str(kind) for name, kind in each.items()} for each in (before, after))
    return list(_differences(was, now, ""))


def kind_of(values: pl.Series, *, fewest_each: int = 5, most: int = 200) -> Kind:
    """What a column is by its type and, for text, by whether its values repeat."""
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return "number"
    if values.dtype.is_temporal():
        return "moment"
    distinct = values.n_unique()
    return "category" if distinct <= most and distinct * fewest_each <= len(values) else "identifier"


def seconds_from_reference(column: str, other: str) -> pl.Expr:
    """The moment ``column`` as seconds after ``other``: what its bounds are about."""
    return (pl.col(column) - pl.col(other)).dt.total_microseconds() / 1e6


def reference_of(column: str) -> str:
    """The moment from which ``column`` is measured."""
    return "created_timestamp" if column == EVENT else EVENT


def describe_difference(before: SourceSchema, after: SourceSchema) -> list[str]:
    """What changes from ``before`` to ``after``, one sentence each; empty when nothing does."""
    return list(_differences(before.model_dump(mode="json")["tables"], after.model_dump(mode="json")["tables"], ""))


def _differences(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(each for each in after if each not in before)]:
            inner = f"{path}.{name}" if path else str(name)
            if name not in after:
                yield f"{inner}: gone, was {_short(before[name])}"
            elif name not in before:
                yield f"{inner}: new, {_short(after[name])}"
            else:
                yield from _differences(before[name], after[name], inner)
    elif isinstance(before, list) and isinstance(after, list) and all(isinstance(x, str) for x in [*before, *after]):
        gone, new = [x for x in before if x not in after], [x for x in after if x not in before]
        if gone or new:
            yield f"{path}: " + "; ".join([f"gone {_short(gone)}"] * bool(gone) + [f"new {_short(new)}"] * bool(new))
    elif before != after:
        yield f"{path}: {_short(before)} becomes {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
