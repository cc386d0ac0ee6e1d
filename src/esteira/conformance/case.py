"""A use case on trial: its declaration and, once its belt has run, what lies in the stores."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from esteira import use_cases
from esteira.contract import Frames, UseCase
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.model_store import models
from esteira.training.labels import label_entities


@dataclass(frozen=True)
class Case:
    """A use case and the moment its belt ran to in the present home; ``challenger`` is the model it trained there."""

    use_case: UseCase
    as_of: datetime
    challenger: str = ""

    @property
    def folder(self) -> str:
        """Where its declaration stands."""
        name = self.use_case.name
        return f"{use_cases.folder(name)}/" if name in use_cases.outside() else f"src/esteira/use_cases/{name}/"

    @cached_property
    def raw(self) -> Frames:
        """The raw tables that entities and outcomes are built from, as known then."""
        declared = self.use_case
        return tables.read_known(sorted({*declared.entity_reads, *declared.outcome_reads}), self.as_of)

    @cached_property
    def labelled(self) -> pl.DataFrame:
        """Every entity whose outcome was known then, with it."""
        return self.labelled_as_of(self.as_of)

    def labelled_as_of(self, moment: datetime) -> pl.DataFrame:
        """As ``labelled``, at another moment."""
        declared = self.use_case
        return label_entities(
            declared, declared.build_entities(self.raw), declared.build_outcomes(self.raw), as_of=moment
        )

    @cached_property
    def training_set(self) -> pl.DataFrame:
        """``labelled`` with the features of the use case's feature service."""
        return features.build_training_set(self.use_case.feature_service, self.labelled)

    @cached_property
    def model(self) -> models.Model:
        """The challenger, loaded and verified."""
        return models.load(self.use_case.name, self.challenger)


def first_worthwhile_moment(use_case: UseCase) -> datetime:
    """The earliest moment with enough history to learn from, choose on and judge on, or the source's end."""
    start, end = use_case.source.span()
    enough = start + 4 * use_case.holdout + 2 * use_case.label_delay + timedelta(days=1)
    return min(end, enough) if end else enough
