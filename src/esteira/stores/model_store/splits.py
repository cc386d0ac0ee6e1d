"""The parts of a training set: how many rows and entities each has, from when, and how its values are spread.

One file beside the training set, because it is made after the set is written and again when rows are erased from it.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import polars as pl
from pydantic import ConfigDict, Field

from esteira.contract import EVENT
from esteira.errors import MissingData
from esteira.model_card import Frozen
from esteira.monitoring.distribution import Profile
from esteira.monitoring.profile import build_profile, read_profile
from esteira.stewardship.page import page, plot
from esteira.stores.data import statistics, versions
from esteira.stores.model_store import training_sets
from esteira.stores.whole_files import write_whole
from esteira.training.labels import OUTCOME
from esteira.training.split import ASIDE, HOLDOUT, TRAIN, Part, describe_part, part_names


class StoredPart(Frozen):
    """One part and the profile of its rows; restricted columns and identifiers are left out of it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    part: Part
    profile: bytes = Field(repr=False)

    @property
    def spread(self) -> Profile:
        """How the part's values are spread."""
        return read_profile(self.profile)


class Splits(Frozen):
    """The parts of a training set: what is learned from, what belongs to neither side, what is judged on."""

    training_set: str
    entity_id: str
    parts: tuple[StoredPart, ...]

    def __getitem__(self, name: str) -> StoredPart:
        """The part of a name: train, set aside, holdout."""
        return next(each for each in self.parts if each.part.name == name)


def record(path: Path, rows: pl.DataFrame, names: pl.Series, *, entity_id: str) -> Splits:
    """Keep counts, times and profile of each part of the training set at ``path``.

    ``names`` (n,) says which part each of its ``rows`` (n,) belongs to, so no row can be in two.
    """
    columns = versions.profiled_columns(rows, path.stem)
    parts = {name: rows.filter(names == name) for name in (TRAIN, ASIDE, HOLDOUT)}
    splits = Splits(
        training_set=f"{path.parent.name}/{path.name}",
        entity_id=entity_id,
        parts=tuple(
            StoredPart(
                part=describe_part(name, part, entity_id=entity_id, label=OUTCOME), profile=build_profile(part, columns)
            )
            for name, part in parts.items()
        ),
    )
    write_whole(training_sets.splits_file(path), splits.model_dump_json().encode())
    return splits


def recorded(path: Path) -> Splits:
    """The parts of a training set. Raises MissingData when they were not kept."""
    file = training_sets.splits_file(path)
    if not file.is_file():
        raise MissingData(f"How training set {path.name} was split is not known. Run the train flow again.")
    return Splits.model_validate_json(file.read_bytes())


def record_again(path: Path, rows: pl.DataFrame) -> None:
    """Count and profile the parts anew after rows were taken out of a training set; nothing if they were not kept."""
    if not training_sets.splits_file(path).is_file():
        return
    known = recorded(path)
    train, holdout = (
        pl.col(EVENT).is_between(known[name].part.first, known[name].part.last) for name in (TRAIN, HOLDOUT)
    )
    record(path, rows, rows.select(part_names(train, holdout)).to_series(), entity_id=known.entity_id)


def as_figures(splits: Splits) -> dict[str, object]:
    """Counts and plain figures of each part."""
    return {
        each.part.name: {
            **each.part.model_dump(mode="json", exclude={"name"}),
            "columns": {name: versions.figures(column) for name, column in each.spread.columns.items()},
        }
        for each in splits.parts
    }


def distances(splits: Splits) -> Mapping[str, float]:
    """How far each column's values in the holdout lie from those learned from, the farthest first."""
    found = statistics.distances_between(splits[TRAIN].spread, splits[HOLDOUT].spread)
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def to_html(splits: Splits) -> str:
    """The parts side by side as one page that needs nothing else."""
    told = "".join(f"<dt>{escape(each.part.name)}</dt><dd>{escape(str(each.part))}</dd>" for each in splits.parts)
    spreads = [each.spread for each in splits.parts]
    head = "".join(f"<th>{escape(each.part.name)}" for each in splits.parts)
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{distance:.3f}"
        + "".join(
            f"<td>{plot(versions.bars(each.column(name)))}<br>{escape(versions.in_words(each.column(name)))}"
            for each in spreads
        )
        + "</tr>"
        for name, distance in distances(splits).items()
    )
    table = f"<table><tr><th>column<th>distance of holdout from train{head}</tr>{rows}</table>"
    return page(f"Training set {splits.training_set}", f"<dl>{told}</dl>{table}")
