"""Ask in SQL about what was predicted."""

import re

import polars as pl

from esteira.contract import UseCase
from esteira.errors import InputError
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from esteira.stores.answers import predictions
from esteira.stores.stewardship import sensitivity

HELD = ("inputs", "features")
"""Columns that hold values of many features and keys, restricted ones among them."""
_QUOTED = re.compile(r"'[^']*'")
"""What is asked for may be a restricted value itself, and the audit log is never erased."""


def query(declared: UseCase, sql: str, *, purpose: str | None, actor: str) -> pl.DataFrame:
    """The answer to one SELECT over ``predictions``, the collected predictions of a use case.

    Only the files and columns which the question needs are read. Without a purpose the table has no ``inputs`` and
    ``features``, and no entity ids if those are restricted; with one it has, and the audit log says who asked and why.
    Raises InputError with the reason when it cannot be answered, MissingData when nothing was collected yet.
    """
    rows = predictions.scan_predictions(declared.name)
    if stated := (purpose or "").strip():
        subject, asked = f"predictions:{declared.name}", {"sql": _QUOTED.sub("'…'", sql)}
        audit.record(Deed(actor=actor, action="read restricted", subject=subject, reason=stated, details=asked))
    else:
        restricted = declared.entity_id in sensitivity.restricted_columns()
        rows = rows.drop(*HELD, *(("entity_id",) if restricted else ()))
    with pl.SQLContext({"predictions": rows}) as context:
        try:
            return context.execute(sql, eager=True)
        except (pl.exceptions.PolarsError, NotImplementedError) as error:
            held = f"; with --purpose also {' and '.join(HELD)}" if not stated else ""
            raise InputError(
                f"Cannot answer {sql!r}: {error}. Expected one SELECT from the table predictions, with the columns "
                f"{', '.join(rows.collect_schema().names())}{held}."
            ) from error
