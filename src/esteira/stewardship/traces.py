"""By which values one entity is found in the belt's stores, wherever they stand."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

ENTITY_ID = "entity_id"
"""What predictions call the entity they are about, whatever the use case calls it."""


@dataclass(frozen=True)
class Traces:
    """Column -> values; a record that has one of them there belongs to the entity."""

    column: str
    value: Any
    """The entity itself: its key and that key's value."""
    values: Mapping[str, frozenset[Any]]

    @classmethod
    def of(cls, column: str, value: Any, linked: Mapping[str, Collection[Any]]) -> "Traces":
        """The traces of ``column`` = ``value`` and of the use cases' entities that have it (id column -> ids)."""
        found: dict[str, set[Any]] = {column: {value}, ENTITY_ID: set()}
        for name, ids in linked.items():
            found.setdefault(name, set()).update(ids)
            found[ENTITY_ID].update(ids)
        return cls(column, value, {name: frozenset(values) for name, values in found.items() if values})

    @property
    def ids(self) -> frozenset[Any]:
        """What predictions call the entity, or the entities linked to it."""
        return self.values.get(ENTITY_ID, frozenset())

    @property
    def texts(self) -> list[str]:
        """Every value as text."""
        return sorted({str(value) for values in self.values.values() for value in values})

    def condition(self, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        """Whether a row of a frame belongs to the entity, by its plain columns."""
        return pl.any_horizontal(
            pl.lit(False),
            *(pl.col(name).is_in(self.fitting(name, kind).implode()).fill_null(False) for name, kind in schema.items()),
        )

    def fitting(self, column: str, kind: pl.DataType) -> pl.Series:
        """The values of ``column`` that a column of this type can hold."""
        wanted = self.values.get(column, frozenset())
        fits = int if kind.is_integer() else str
        return pl.Series(sorted(value for value in wanted if isinstance(value, fits)), dtype=kind)

    def in_json(self, text: str) -> bool:
        """Whether a JSON text names the entity anywhere within; a text that is no JSON does not."""
        try:
            return self.are_in(json.loads(text))
        except ValueError:
            return False

    def are_in(self, held: Any) -> bool:
        """Whether what JSON can hold names the entity anywhere within: as a value of a column, or in a list of them."""
        if isinstance(held, dict):
            return any(self._names_it(name, value) or self.are_in(value) for name, value in held.items())
        return isinstance(held, list) and any(self.are_in(each) for each in held)

    def _names_it(self, column: str, held: Any) -> bool:
        wanted = self.values.get(column, frozenset())
        several = held if isinstance(held, list) else [held]
        return any(not isinstance(each, dict | list) and each in wanted for each in several)
