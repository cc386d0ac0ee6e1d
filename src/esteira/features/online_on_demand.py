"""On-demand features of a request: Feast's Python views called as the offline join calls them, lists in, lists out."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from feast import OnDemandFeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.value_type import ValueType

from esteira.contract import utc
from esteira.errors import FeatureError, InvalidRequest
from esteira.features.online_store import ViewRows


@dataclass(frozen=True)
class OnDemand:
    """What calling an on-demand view needs, resolved once."""

    name: str
    transform: Callable[[dict[str, list[Any]]], Mapping[str, Sequence[Any]]]
    sources: tuple[tuple[str, tuple[str, ...]], ...]
    """(view, features) it declares; each feature is given under its name and as view__feature, as Feast does."""
    requests: Mapping[str, ValueType]
    outputs: Mapping[str, ValueType]


def on_demand(view: OnDemandFeatureView, name: str) -> OnDemand:
    """Resolve ``view``, known in its feature service as ``name``.

    Raises:
        FeatureError: it is not list-in list-out Python.
    """
    if view.mode != "python" or view.singleton or view.feature_transformation is None:
        raise FeatureError(
            f"On-demand view {view.name!r} has mode {view.mode!r}, singleton={view.singleton}. Expected mode 'python' "
            "with lists in and lists out: pandas mode sees NaN where training saw None, singletons break in batches."
        )
    return OnDemand(
        name=name,
        transform=view.feature_transformation.udf,
        sources=tuple(
            (source.name_to_use(), tuple(feature.name for feature in source.features))
            for source in view.source_feature_view_projections.values()
        ),
        requests=view.get_request_data_schema(),
        outputs={feature.name: feature.dtype.to_value_type() for feature in view.features},
    )


def request_input(name: str, column: Sequence[Any], kind: ValueType) -> list[Any]:
    """The request's values for ``name`` in their declared type. Raises InvalidRequest naming one that does not fit."""
    try:
        return _typed(column, kind)
    except TypeError as error:
        raise InvalidRequest(
            f"Request input {name!r} cannot be {error}. Send it in that type: nothing is converted, "
            "because training converted nothing."
        ) from error


def transform(
    view: OnDemand,
    keys: Mapping[str, Sequence[Any]],
    inputs: Mapping[str, list[Any]],
    found: Mapping[str, ViewRows],
    count: int,
) -> dict[str, list[Any]]:
    """The outputs of one on-demand view for ``count`` rows, in their declared types; missing is None.

    Raises:
        FeatureError: the view's function fails, leaves out rows or a feature, or returns another type.
    """
    given: dict[str, list[Any]] = {name: list(column) for name, column in keys.items() if name != DUMMY_ENTITY_ID}
    given.update((name, inputs[name]) for name in view.requests)
    for source, features in view.sources:
        for feature in features:
            # A copy: a function that changes its input must not change what the request answers.
            given[feature] = given[f"{source}__{feature}"] = list(found[source].values[feature])
    try:
        outputs = view.transform(given)
    except Exception as error:
        raise FeatureError(
            f"On-demand view {view.name!r} failed on {count} rows: {type(error).__name__}: {error}. "
            f"It is given {', '.join(given)} as lists in which a missing value is None: its function must handle both."
        ) from error
    typed: dict[str, list[Any]] = {}
    for name, kind in view.outputs.items():
        column = outputs.get(name)
        if column is None or len(column) != count:
            raise FeatureError(
                f"On-demand view {view.name!r} returned {'nothing' if column is None else len(column)} for {name!r}; "
                f"expected a list of {count} values. Return one value per row for every declared feature."
            )
        try:
            typed[name] = _typed(column, kind)
        except TypeError as error:
            raise FeatureError(
                f"On-demand view {view.name!r} returned for {name!r} the value {error}. "
                "Return the declared type, or change the view's schema and apply it."
            ) from error
    return typed


def _typed(column: Sequence[Any], kind: ValueType) -> list[Any]:
    """The values in their declared type, NaN and None as None. Raises TypeError naming the first that does not fit."""
    if set(map(type, column)) <= {_AS_IT_IS.get(kind), type(None)}:  # nearly always, and value by value is dear
        return [None if each != each else each for each in column]  # noqa: PLR0124 - NaN, alone, differs from itself
    accepted, convert = _TYPES.get(kind, (object, lambda value: value))
    typed: list[Any] = []
    for each in column:
        value = each.item() if isinstance(each, np.generic) else each
        if value is None or (isinstance(value, float) and math.isnan(value)):
            typed.append(None)
        elif isinstance(value, accepted) and (kind is ValueType.BOOL or not isinstance(value, bool)):
            typed.append(convert(value))
        else:
            raise TypeError(f"{value!r} ({type(value).__name__}), declared {kind.name}")
    return typed


_FLOAT = struct.Struct("<f")
_AS_IT_IS: Mapping[ValueType, type] = {
    ValueType.DOUBLE: float,
    ValueType.INT32: int,
    ValueType.INT64: int,
    ValueType.BOOL: bool,
    ValueType.STRING: str,
}
_TYPES: Mapping[ValueType, tuple[Any, Callable[[Any], Any]]] = {
    ValueType.DOUBLE: ((int, float), float),
    ValueType.FLOAT: ((int, float), lambda value: _FLOAT.unpack(_FLOAT.pack(value))[0]),
    ValueType.INT32: (int, int),
    ValueType.INT64: (int, int),
    ValueType.BOOL: (bool, bool),
    ValueType.STRING: (str, str),
    ValueType.UNIX_TIMESTAMP: (datetime, utc),
}
