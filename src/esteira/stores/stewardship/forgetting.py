"""Forget one entity: from tables and all their versions, the online store, logs, caches, training sets and profiles.

The order makes a kill harmless: run again, it does what is left. First the tombstone, so that nothing comes back; then
everything that is found by way of the raw tables; the tables that tell which use case's entities are linked to it come
last. At the end the storage root is searched byte by byte, because only that proves anything.
"""

from collections.abc import Mapping

import polars as pl

from esteira import use_cases
from esteira.contract import CREATED, EVENT, MOMENT, UseCase
from esteira.errors import DataError, InputError, UnknownName
from esteira.model_card import Frozen
from esteira.settings import settings
from esteira.stewardship.audit_chain import Deed
from esteira.stewardship.traces import Traces
from esteira.stores import audit
from esteira.stores.answers import cached
from esteira.stores.data import table_erasing, tables
from esteira.stores.feature_store import features
from esteira.stores.model_store import models
from esteira.stores.stewardship import byte_scan, file_erasing, holds, tombstones
from esteira.stores.stewardship.mask_key import token

SHORTEST = 5
"""Shorter values occur in any file by chance, so that their absence cannot be shown."""


class Forgotten(Frozen):
    """What one run erased, and what only a person can decide about."""

    subject: str
    erased: Mapping[str, int]
    """Place -> rows, lines or files."""
    models: tuple[str, ...]
    """Models trained on the entity, over all runs: retrain or retire them."""


def forget(column: str, value: str, *, reason: str, actor: str) -> Forgotten:
    """Erase the entity whose key ``column`` is ``value``; doing it again does what was left undone, or nothing.

    Raises:
        UnknownName: ``column`` is no entity key of any use case.
        InputError: the value is too short to prove its absence, the reason repeats it, or a hold stands.
        DataError: the value is still somewhere afterwards; the message lists where.
    """
    subject = _require_allowed(column, value, reason)
    entities = {name: _entities(use_cases.get(name)) for name in use_cases.names()}
    ids: dict[str, set[str]] = {}
    for name, rows in entities.items():
        named = rows.filter(pl.col(column).cast(pl.String) == value) if column in rows.columns else rows.clear()
        ids.setdefault(use_cases.get(name).entity_id, set()).update(
            named[use_cases.get(name).entity_id].cast(pl.String)
        )
    traces = Traces.of(column, value, ids)
    tombstones.add({name: values for name, values in traces.values.items() if name in {column, *ids}})
    trained = _models_before(subject) | {
        model for name, rows in entities.items() for model in _trained_on(use_cases.get(name), rows, ids)
    }
    audit.record(
        Deed(actor=actor, action="began to forget", subject=subject, reason=reason, details={"models": sorted(trained)})
    )
    erased = {f"cached predictions of {name}": cached.erase(name, traces) for name in entities}
    erased["lines of logs"] = file_erasing.erase_logged(traces)
    erased |= {f"training set {name}": rows for name, rows in file_erasing.erase_training_rows(traces).items()}
    erased["profiles"] = file_erasing.erase_profiles(traces)
    erased["online store"] = features.erase_online(traces.values)
    erased |= {f"table {name}": table_erasing.erase(name, traces) for name in _linking_tables_last()}
    if left := byte_scan.places(settings().home, [value], apart_from=_longer_values(column, value)):
        raise DataError(
            f"{subject} was erased from the belt's stores, but its value is still in {len(left)} files: "
            f"{', '.join(str(path.relative_to(settings().home)) for path in left[:10])}. Remove or correct them (they "
            "may be copies, logs of other programs, or models that know it as a category), then run this again."
        )
    found = {place: count for place, count in erased.items() if count}
    forgotten = Forgotten(subject=subject, erased=found, models=tuple(sorted(trained)))
    details = forgotten.model_dump(mode="json", exclude={"subject"})
    audit.record(Deed(actor=actor, action="forgot", subject=subject, reason=reason, details=details))
    return forgotten


def _require_allowed(column: str, value: str, reason: str) -> str:
    keys = {key for name in use_cases.names() for key in _keys(use_cases.get(name))}
    if column not in keys:
        raise UnknownName.among("entity key", column, sorted(keys), "Each use case declares its own.")
    if len(value) < SHORTEST:
        raise InputError(
            f"An entity key of {len(value)} characters cannot be forgotten provably: it occurs in any file by chance. "
            f"Expected at least {SHORTEST} characters."
        )
    if not reason.strip() or value in reason:
        raise InputError("State a reason that does not repeat the value: the reason stays in the audit log.")
    if held := [hold for hold in holds.active() if hold.item == holds.item_of(f"entity:{column}={value}")]:
        raise InputError(
            f"This entity is held since {held[0].placed_at:%Y-%m-%d} by {held[0].actor}: {held[0].reason}. "
            f"Lift hold {held[0].id} first: esteira data lift {held[0].id} --reason …"
        )
    return f"entity:{column}={token(column, value)[:16]}"


def _keys(declared: UseCase) -> tuple[str, ...]:
    return (*declared.entity_keys, declared.entity_id)


def _entities(declared: UseCase) -> pl.DataFrame:
    """Every entity of a use case with its keys, when it was asked about and when it became known."""
    if not all(tables.exists(each) for each in declared.entity_reads):
        return pl.DataFrame(schema={declared.entity_id: pl.String, EVENT: MOMENT, CREATED: MOMENT})
    return declared.build_entities({table: tables.read(table) for table in declared.entity_reads})


def _longer_values(column: str, value: str) -> set[str]:
    """Values of other entities that contain this one's, such as N0TAILA."""
    found: set[str] = set()
    for table in tables.names():
        rows = tables.scan(table)
        if rows.collect_schema().get(column) == pl.String:
            longer = pl.col(column).str.contains(value, literal=True) & (pl.col(column) != value)
            found |= set(rows.filter(longer).select(pl.col(column).unique()).collect()[column])
    return found


def _trained_on(declared: UseCase, entities: pl.DataFrame, ids: Mapping[str, set[str]]) -> list[str]:
    """Models whose training or holdout stretch holds one of the linked ``ids`` that was known by then."""
    wanted = pl.Series(sorted(ids[declared.entity_id]), dtype=pl.String).implode()
    linked = entities.filter(pl.col(declared.entity_id).cast(pl.String).is_in(wanted))
    found = []
    for card in models.cards(declared.name) if linked.height else ():
        known = linked.filter(
            (pl.col(CREATED) <= card.as_of)
            & (pl.col(EVENT) >= card.trained_from)
            & (pl.col(EVENT) <= max(card.trained_until, card.holdout_until))
        )
        if known.height:
            found.append(f"{declared.name}:{card.version}")
    return found


def _models_before(subject: str) -> set[str]:
    begun = audit.entries(subject=subject, action="began to forget")
    return {model for entry in begun for model in entry.details["models"]}


def _linking_tables_last() -> list[str]:
    linking = {table for name in use_cases.names() for table in use_cases.get(name).entity_reads}
    return sorted(tables.names(), key=lambda table: (table in linking, table))
