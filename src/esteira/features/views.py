"""How a Feast view over one of the belt's feature tables is declared: briefly, and with nothing left out."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64, String

from esteira.contract import CREATED, EVENT
from esteira.settings import settings

FOREVER = timedelta(days=3650)
"""For facts and published plans, which do not expire; Feast wants a length all the same."""


def number(name: str, description: str) -> Field:
    """A feature that is a number, possibly missing."""
    return Field(name=name, dtype=Float64, description=description)


def count(name: str, description: str) -> Field:
    """A feature that is a whole number."""
    return Field(name=name, dtype=Int64, description=description)


def word(name: str, description: str) -> Field:
    """A feature that is a category."""
    return Field(name=name, dtype=String, description=description)


def view(
    name: str,
    description: str,
    entities: list[Entity],
    schema: list[Field],
    *,
    owner: str,
    ttl: timedelta,
    reads: str,
    window: str = "none",
) -> FeatureView:
    """A view over the Delta table of the same name; ``reads`` names the raw tables behind it."""
    return FeatureView(
        name=name,
        description=description,
        entities=entities,
        schema=schema,
        ttl=ttl,
        owner=owner,
        tags={"source": reads, "window": window},
        source=FileSource(
            name=f"{name}_table",
            path=str(settings().tables_path / name),
            file_format=DeltaFormat(),
            timestamp_field=EVENT,
            created_timestamp_column=CREATED,
        ),
    )
