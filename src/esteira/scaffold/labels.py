"""What is to be predicted of each row, when it is known, and whether a column gives it away."""

import ast
from collections.abc import Collection
from datetime import timedelta
from shlex import quote

import polars as pl

from esteira.contract import EVENT
from esteira.errors import DataError, InputError
from esteira.model_card import Column
from esteira.scaffold.durations import in_words, rounded
from esteira.scaffold.planned import Wanted
from esteira.scaffold.records import Records
from esteira.training.labels import OUTCOME
from esteira.training.leakage import target_like

_YES = {"1", "true", "yes", "y", "t"}
_NO = {"0", "false", "no", "n", "f"}
_FEWEST_LABELLED = 100


def when_known(
    wanted: Wanted, rows: pl.DataFrame, key: str, *, repeats: bool
) -> tuple[timedelta | None, timedelta | None]:
    """How far ahead a later row's label is predicted, or how long after its row a label is known; one of them.

    Raises InputError when neither can be: then the label would be known when the question is asked.
    """
    if wanted.ahead and wanted.label_after:
        raise InputError("Say --ahead or --label-after: the label of a later row, or of the row itself known later.")
    if wanted.ahead and not repeats:
        raise InputError(
            f"Most values of {wanted.entity_key!r} stand in one row only, so there is no row {in_words(wanted.ahead)} "
            "later to predict. Name a key that returns, or say when the row's own label is known: --label-after 30d"
        )
    if wanted.ahead or wanted.label_after:
        return wanted.ahead, wanted.label_after
    if not repeats:
        raise InputError(
            f"The label {wanted.label!r} stands in the row it is to be predicted for, so it would be known when the "
            "question is asked: a leak. Say how much later it is known than the rest of the row: --label-after 30d"
        )
    return rounded(typical_step(rows, key)), None


def require_number(wanted: Wanted, label: pl.Series) -> None:
    """Raise InputError unless a label can be estimated as a number."""
    if not label.dtype.is_numeric():
        raise InputError(
            f"The label {wanted.label!r} holds text, and a regression predicts a number. Try --kind binary."
        )


def meaning_yes(wanted: Wanted, label: pl.Series) -> str:
    """The value of a binary label that means yes, as code. Raises InputError when there are not two, or neither is."""
    found = sorted(label.drop_nulls().unique().to_list())
    if len(found) != 2:
        raise InputError(
            f"The label {wanted.label!r} has {len(found)} different values, such as {found[:4]}. A binary one has two; "
            "for a number try --kind regression."
        )
    words = [str(each).lower() for each in found]
    if wanted.positive is not None:
        if wanted.positive.lower() not in words:
            raise InputError(
                f"The label {wanted.label!r} is never {wanted.positive!r}. It is {found[0]!r} or {found[1]!r}."
            )
        return repr(found[words.index(wanted.positive.lower())])
    if words[0] in _NO and words[1] in _YES:
        return repr(found[1])
    raise InputError(
        f"The label {wanted.label!r} is {found[0]!r} or {found[1]!r}. Say which of them means yes: "
        f"--positive {found[1]}"
    )


def typical_step(rows: pl.DataFrame, key: str) -> timedelta:
    """The median time from one row of an entity to the next. Raises DataError when rows do not follow one another."""
    gaps = rows.sort(key, EVENT).select(pl.col(EVENT).diff().over(key)).to_series().drop_nulls()
    typical = gaps.median()
    if not isinstance(typical, timedelta) or not typical:
        raise DataError(f"The rows of one {key!r} do not follow one another in time. Check the timestamp.")
    return typical


def outcomes(rows: pl.DataFrame, key: str, label: str, wanted: Wanted, yes: str | None) -> pl.Series:
    """What is to be predicted for each row, null where the file does not say."""
    value = pl.col(label).cast(pl.Float64) if yes is None else _means_yes(label, yes)
    own = rows.select(key, EVENT, value.alias(OUTCOME))
    if not wanted.ahead:
        return own[OUTCOME]
    later = own.drop_nulls(OUTCOME).rename({EVENT: "at"}).sort("at")
    due = rows.select(key, (pl.col(EVENT) + wanted.ahead).alias("due")).with_row_index().sort("due")
    joined = due.join_asof(
        later, left_on="due", right_on="at", by=key, strategy="forward", tolerance=wanted.ahead, check_sortedness=False
    )
    return joined.sort("index")[OUTCOME]


def _means_yes(label: str, yes: str) -> pl.Expr:
    is_yes: pl.Expr = pl.col(label) == ast.literal_eval(yes)
    return is_yes.cast(pl.Float64)


def require_no_leak(
    wanted: Wanted, rows: pl.DataFrame, outcome: pl.Series, suspects: Collection[str], records: Records
) -> None:
    """Raise DataError when a column of the question's row all but tells the outcome, or too few rows have one."""
    texts = rows.select(pl.col(pl.String)).columns
    columns = [Column(name=each, type="category" if each in texts else "number", view="") for each in suspects]
    labelled = rows.with_columns(outcome.alias(OUTCOME)).drop_nulls(OUTCOME)
    if labelled.height < _FEWEST_LABELLED:
        raise DataError(f"Only {labelled.height} rows have an outcome. At least a hundred are needed to begin with.")
    if told := target_like(wanted.kind, labelled, columns):
        guilty = next(name for name in suspects if f"{name!r}" in told[0])
        raise DataError(
            f"The file gives the label away: {'; '.join(told)}. Such a column is known with the label, not when the "
            f"question is asked. Leave it out: --without {quote(records.called[guilty])}"
        )
