"""What a Feast view declares about its columns, as Arrow and Polars types, and data brought into them without loss."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa
from feast.types import from_feast_to_pyarrow_type

from esteira.errors import WrongColumns


def arrow_type(feast_type: Any) -> pa.DataType | None:
    """The Arrow type of a Feast type; None for the few that have none (bytes among them): those stay as stored."""
    try:
        return from_feast_to_pyarrow_type(feast_type)
    except ValueError:
        return None


def polars_type(feast_type: Any) -> pl.DataType | None:
    """The Polars type of a Feast type, None where ``arrow_type`` has none."""
    arrow = arrow_type(feast_type)
    return None if arrow is None else pl.Series(pl.from_arrow(pa.array([], type=arrow))).dtype


def cast_table(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """``table`` with its columns in the given types. Raises WrongColumns where a value does not fit."""
    for position, field in enumerate(table.schema):
        target = types.get(field.name)
        if target is None or target == field.type:
            continue
        try:
            cast = table.column(position).cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise WrongColumns(
                f"Feature {field.name!r} is declared as {target}, the source holds {field.type}: {error}. "
                "Mend the view's schema or the source."
            ) from error
        table = table.set_column(position, pa.field(field.name, target), cast)
    return table


def cast_series(values: pl.Series, target: pl.DataType, where: str) -> pl.Series:
    """``values`` as ``target``: numbers stay numbers, words stay words, no value is changed.

    Raises WrongColumns when the kinds differ or a value does not fit.
    """
    known = values.dtype
    same_kind = (
        known == pl.Null
        or (known.is_numeric() and target.is_numeric())
        or (known in (pl.String, pl.Categorical, pl.Enum) and target == pl.String)
        or (known.is_temporal() and target.is_temporal())
        or (known.is_nested() and target.is_nested())
    )
    try:
        if known == target:
            return values
        if same_kind:
            cast = values.cast(target)
            unchanged = not target.is_integer() or bool((cast.cast(known) == values).fill_null(True).all())
            if unchanged:
                return cast
    except pl.exceptions.InvalidOperationError as error:
        raise WrongColumns(f"{where}: column {values.name!r} does not fit into {target}: {error}") from error
    raise WrongColumns(
        f"{where}: column {values.name!r} is {known}, {target} is expected, values such as "
        f"{values.drop_nulls().head(3).to_list()} do not fit. Cast them before writing."
    )
