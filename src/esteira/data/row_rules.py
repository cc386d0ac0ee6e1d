"""The rules single rows break: which rows of a slice may go into the table, and which are kept apart, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from esteira.contract import CREATED, EVENT, POSITION, RawTable
from esteira.data.finding import Finding, Outcome
from esteira.data.schema import ColumnSchema, TableSchema, describe_columns, reference_of, seconds_from_reference
from esteira.errors import WrongColumns

CLOCK_SKEW = timedelta(minutes=5)
"""So far may an event lie after the moment it was known, because clocks differ."""
REASON = "reason"
_ROW = "_row"
_SHOWN = 5


@dataclass(frozen=True)
class Judged:
    """A slice after the row rules: rows in = rows kept + rows quarantined, unless a rule's policy is to fail."""

    kept: pl.DataFrame
    """In the columns of what was judged."""
    quarantined: pl.DataFrame
    """In the same columns, with ``reason``, every rule the row breaks, and ``source_position``."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Rule:
    column: str
    name: str
    expected: str
    broken: pl.Expr
    shown: pl.Expr
    """What is told of an offending row; never what identifies it, which may be restricted."""
    outcome: Outcome | None = None
    """What comes of it whatever the policy says."""


def judge_rows(
    rows: pl.DataFrame, table: RawTable, schema: TableSchema, *, after: datetime | None, until: datetime
) -> Judged:
    """Apply every row rule of ``schema`` to ``rows``, read as the slice ``(after, until]`` of ``table``.

    Rows may carry ``source_position`` besides the table's columns. A row that lies outside its slice always fails:
    the source has answered another question.

    Raises WrongColumns when columns or types are not the declared ones: then no rule can be read.
    """
    require_columns(rows, table)
    identity = list(dict.fromkeys((*schema.unique, EVENT, CREATED)))
    rules = [*_slice_bounds(after, until), *_time_order(), *_column_rules(schema), _unique(rows, table, identity)]
    flags = [rule.broken.fill_null(value=False).alias(str(place)) for place, rule in enumerate(rules)]
    broken = rows.with_row_index(_ROW).select(_ROW, *flags)
    counts = broken.select(pl.exclude(_ROW).sum()).row(0) if rules else ()
    findings, parting = [], []
    for place, (rule, count) in enumerate(zip(rules, counts, strict=True)):
        outcome: Outcome = "pass" if not count else rule.outcome or schema.policy.get(rule.name, "fail")
        if outcome == "quarantine":
            parting.append((str(place), f"{rule.column}: {rule.name}: expected {rule.expected}"))
        findings.append(
            Finding(
                table=table.name, column=rule.column, rule=rule.name, outcome=outcome, expected=rule.expected,
                found=_found(rows, broken, str(place), rule) if count else "nothing else", rows=int(count),
            )
        )  # fmt: skip
    never = pl.col(_ROW) < 0  # of the right length also when no rule is broken
    reasons = [pl.when(pl.col(name)).then(pl.lit(text)) for name, text in parting]
    told = broken.select(pl.concat_str(pl.when(never).then(pl.lit("")), *reasons, separator="; ", ignore_nulls=True))
    offending = broken.select(pl.any_horizontal(never, *(name for name, _ in parting)))
    return set_apart(rows, offending.to_series(), told.to_series(), tuple(findings))


def set_apart(rows: pl.DataFrame, offending: pl.Series, reasons: pl.Series, findings: tuple[Finding, ...]) -> Judged:
    """Part ``rows`` (n,) by the flags ``offending`` (n,), for ``reasons`` (n,); each row apart says where it stood."""
    apart = rows.with_row_index(_ROW).with_columns(reasons.alias(REASON)).filter(offending)
    if POSITION not in rows.columns:
        apart = apart.with_columns(pl.format("row {} of its slice", pl.col(_ROW) + 1).alias(POSITION))
    return Judged(rows.filter(~offending), apart.drop(_ROW), findings)


def require_columns(rows: pl.DataFrame, table: RawTable) -> None:
    """Raise WrongColumns, showing the difference, unless ``rows`` have the table's columns and types, in order."""
    found = {name: kind for name, kind in rows.schema.items() if name != POSITION}
    if found != table.schema or list(found) != list(table.schema):
        raise WrongColumns(
            f"The source's rows for table {table.name!r} are not in its declared columns:\n  "
            + ("\n  ".join(describe_columns(table.schema, found)) or f"the order is {list(found)}")
            + "\nMend the source, or change the declaration with its consumers and accept the changed schema."
        )


def _slice_bounds(after: datetime | None, until: datetime) -> Iterator[_Rule]:
    outside = (pl.col(CREATED) > until).fill_null(value=True)
    if after is not None:
        outside |= pl.col(CREATED) <= after
    span = f"({after.isoformat() if after else 'the start'}, {until.isoformat()}]"
    yield _Rule(CREATED, "slice", span, outside, pl.col(CREATED), outcome="fail")


def _time_order() -> Iterator[_Rule]:
    early = pl.col(EVENT) - pl.col(CREATED)
    yield _Rule(EVENT, "time order", f"at most 5 minutes after {CREATED}", early > CLOCK_SKEW, pl.col(EVENT))


def _column_rules(schema: TableSchema) -> Iterator[_Rule]:
    for name, column in schema.columns.items():
        value = pl.col(name)
        if name != CREATED and (column.required or name in (*schema.unique, EVENT)):
            yield _Rule(name, "required", "a value", value.is_null(), pl.lit("null"))
        if column.type.startswith("Float"):
            yield _Rule(name, "finite", "a finite number", ~value.is_finite(), value)
        if column.low is not None or column.high is not None:
            yield _range(name, column)
        if column.categories is not None:
            unseen = ~value.is_in(column.categories) & value.is_not_null()
            listed = ", ".join(column.categories[:8]) + (", …" if len(column.categories) > 8 else "")
            outcome: Outcome | None = "warn" if column.is_open else None
            yield _Rule(name, "category", f"one of {listed}", unseen, value, outcome=outcome)


def _range(name: str, column: ColumnSchema) -> _Rule:
    is_moment = column.kind == "moment"
    measured = seconds_from_reference(name, reference_of(name)) if is_moment else pl.col(name).cast(pl.Float64)
    unit = f" s from {reference_of(name)}" if is_moment else ""
    low = float("-inf") if column.low is None else column.low
    high = float("inf") if column.high is None else column.high
    # Infinite and not a number are told of by their own rule.
    outside = ((measured < low) | (measured > high)) & measured.is_finite()
    return _Rule(name, "range", f"{low:g} to {high:g}{unit}", outside, pl.col(name))


def _unique(rows: pl.DataFrame, table: RawTable, identity: list[str]) -> _Rule:
    doubled = rows.select(identity).is_duplicated()
    broken = pl.Series([False]).new_from_index(0, rows.height)
    if doubled.any():
        # Copies of a record say the same, so one of them stays. Records that contradict each other are all in doubt.
        everything = rows.select(pl.struct(*table.schema)).to_series()
        again = ~everything.is_first_distinct()
        versions = rows.select(*identity, everything.alias("_all")).select(pl.col("_all").n_unique().over(identity))
        broken = again | (doubled & (versions.to_series() > 1))
    return _Rule(", ".join(identity), "unique", "each record once", pl.lit(broken), pl.lit("repeated"))


def _found(rows: pl.DataFrame, broken: pl.DataFrame, flag: str, rule: _Rule) -> str:
    samples = rows.filter(broken[flag]).head(200).select(rule.shown.alias("shown"))["shown"].unique(maintain_order=True)
    told = [_text(each) for each in samples.head(_SHOWN)]
    places = rows.filter(broken[flag])[POSITION].head(1).to_list() if POSITION in rows.columns else []
    where = f", first at {places[0]}" if places else ""
    return ", ".join(told) + (", …" if len(samples) > _SHOWN else "") + where


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)[:60]
