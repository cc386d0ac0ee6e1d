"""Feature values that a request brings itself, checked against what the live model expects."""

from collections.abc import Mapping, Sequence
from typing import Any

from esteira.contract import FeatureRows
from esteira.errors import InvalidRequest
from esteira.model_card import ModelCard

_ACCEPTED = {"number": (int, float, bool), "category": (str,)}
_LARGEST = 3.4e38
"""What fits the 32-bit floats of a model's matrix."""
_SHOWN = 5


def given_rows(card: ModelCard, rows: Sequence[Mapping[str, Any]]) -> FeatureRows:
    """The n rows as columns of every feature on the card; what a row does not name is missing.

    Raises InvalidRequest naming a feature that the model does not know, or a value of another type.
    """
    types = {column.name: column.type for column in card.columns}
    for row in rows:
        if unknown := sorted(row.keys() - types.keys()):
            raise InvalidRequest(
                f"Unknown features {', '.join(unknown[:_SHOWN])}. Model {card.version!r} has {len(types)}, "
                f"such as {', '.join(list(types)[:_SHOWN])}; its model card lists all."
            )
        for name, value in row.items():
            fits = isinstance(value, _ACCEPTED[types[name]]) and (isinstance(value, str) or abs(value) < _LARGEST)
            if value is not None and not fits:
                raise InvalidRequest(
                    f"Feature {name!r} cannot be {value!r}. Model {card.version!r} expects "
                    f"{'a number of magnitude below 3.4e38' if types[name] == 'number' else 'text'} or null there."
                )
    values = {name: [row.get(name) for row in rows] for name in types}
    return FeatureRows(values=values, event_times={}, created_times={})
