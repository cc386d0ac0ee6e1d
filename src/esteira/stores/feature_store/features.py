"""The feature store's offline side: apply the Feast repository, ask the registry, join training sets."""

import contextlib
import logging
import os
import warnings
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from feast import FeatureStore, RepoConfig
from feast.errors import FeastObjectNotFoundException
from feast.repo_config import load_repo_config
from feast.repo_operations import extract_objects_for_apply_delete

from esteira import use_cases
from esteira.contract import CREATED, EVENT, SENSITIVITY
from esteira.errors import FeatureError, MissingData, UnknownName
from esteira.features.asof import point_in_time_join
from esteira.features.availability import Availability, assess, obstacles
from esteira.features.catalogue import Feature, repeats
from esteira.features.registry import declared_features
from esteira.model_card import Column
from esteira.settings import settings
from esteira.stores.clock import online_writer
from esteira.stores.data import tables
from esteira.stores.feature_store import repository
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.feature_store.online_identity import online_identity

_CONFIGURATIONS = {"sqlite": "feature_store.yaml", "redis": "feature_store_redis.yaml"}
_log = logging.getLogger("esteira.stores.feature_store.features")

# Feast says so at every use; what the warning is about, slow offline retrieval, our offline store does not have.
warnings.filterwarnings("ignore", "On demand feature view is an experimental feature", RuntimeWarning)


def apply() -> str:
    """Bring the Feast registry and online store into the state the feature repository declares; return the plan.

    A repository whose files have not changed since they were last applied is left alone: Feast takes seconds to find
    that out, and ingest runs every hour.
    """
    applied = settings().feast_path / "applied.sha256"
    if is_applied():
        return "No change: the feature repository is as it was applied."
    settings().feast_path.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(config=_configuration(settings().feature_repo_path))
    digest = repository.digest()
    with repository.parsed() as contents, contextlib.chdir(settings().feature_repo_path):
        plan = str(store.plan(contents)[0].to_string())
        to_apply, to_delete, _, _ = extract_objects_for_apply_delete(store.project, store.registry, contents)
        store.apply(to_apply, objects_to_delete=to_delete, partial=False)
    applied.write_text(digest)
    open_store.cache_clear()
    for sentence in repeats(catalogue()):
        _log.warning(sentence)
    return plan


def is_applied() -> bool:
    """Whether this home's registry is what this checkout's feature repository declares."""
    applied = settings().feast_path / "applied.sha256"
    return applied.is_file() and applied.read_text() == repository.digest()


@lru_cache(maxsize=1)
def open_store() -> FeatureStore:
    """This process's Feast store. Raises MissingData when the repository has not been applied yet."""
    if not (settings().feast_path / "applied.sha256").is_file():
        raise MissingData(
            f"There is no feature registry in {settings().feast_path}. Run the ingest flow once: it applies "
            "feature_repo (make flow FLOW=ingest USE_CASE=… AS_OF=…)."
        )
    return FeatureStore(config=_configuration(settings().feature_repo_path))


def service_columns(service: str) -> tuple[Column, ...]:
    """Every feature of a feature service, in its order, with its type and view. Raises UnknownName."""
    store = open_store()
    try:
        declared = store.get_feature_service(service)
    except FeastObjectNotFoundException as error:
        known = [each.name for each in store.list_feature_services()]
        raise UnknownName.among(
            "feature service", service, known, "They are declared in feature_repo/; apply it with the ingest flow."
        ) from error
    return tuple(
        Column(
            name=feature.name,
            type="category" if feature.dtype.to_value_type().name == "STRING" else "number",
            view=projection.name,
        )
        for projection in declared.feature_view_projections
        for feature in projection.features
    )


def build_training_set(service: str, entities: pl.DataFrame) -> pl.DataFrame:
    """Join the features of ``service`` to ``entities`` (keys, request inputs, ``event_timestamp``) point in time.

    Rows out are rows in, in order; entity columns first, then features in the service's order, missing is null.
    Raises FeatureError when a row went missing or was doubled, whatever the offline store's promise.
    """
    columns = [column.name for column in service_columns(service)]
    store = open_store()
    retrieval = store.get_historical_features(entity_df=entities, features=store.get_feature_service(service))
    joined = pl.DataFrame(pl.from_arrow(retrieval.to_arrow()))
    if joined.height != entities.height:
        raise FeatureError(
            f"The point-in-time join of {service!r} returned {joined.height} rows for {entities.height} entity rows. "
            "No row may be lost or doubled: check offline_store in feature_repo/feature_store.yaml."
        )
    return pl.concat([entities, joined.select(columns)], how="horizontal")


def join_times(service: str, entities: pl.DataFrame) -> pl.DataFrame:
    """For each row of ``entities``, the times of the values the join of ``service`` finds in each view.

    Columns ``<view>__event_timestamp`` and ``<view>__created_timestamp``, null where nothing is visible.
    """
    found = entities
    for name in feature_views(service):
        view = open_store().get_feature_view(name)
        found = point_in_time_join(
            found,
            tables.scan(name),
            keys=view.join_keys,
            entity_timestamp=EVENT,
            event=EVENT,
            created=CREATED,
            ttl=view.ttl,
            columns={each: f"{name}__{each}" for each in (EVENT, CREATED)},
        )
    return found.drop(entities.columns)


def feature_views(service: str) -> tuple[str, ...]:
    """The plain views a service reads, those behind its on-demand views included, sorted by name."""
    return tuple(sorted(OnlineFeatures(open_store(), service).ttls))


def catalogue() -> tuple[Feature, ...]:
    """Every declared feature with what is known about it."""
    computed = [table for name in use_cases.names() for table in use_cases.get(name).feature_tables]
    return declared_features(open_store(), computed)


def sensitive_columns() -> dict[str, str]:
    """Columns whose values are restricted: name -> ``pii`` or ``restricted``, as tagged in the feature repository.

    Read from its files, not the registry: masks must hold before anything was applied. Raises FeatureError for a tag
    that is neither.
    """
    return dict(_sensitive_columns(repository.digest()))


@lru_cache(maxsize=4)
def _sensitive_columns(_digest: str) -> dict[str, str]:
    with repository.parsed() as declared:
        views = (*declared.feature_views, *declared.on_demand_feature_views)
        tagged = [(each.join_key, each.tags) for each in declared.entities]
        tagged += [(field.name, field.tags) for view in views for field in view.schema]
    found = {name: tags[SENSITIVITY] for name, tags in tagged if SENSITIVITY in tags}
    if unknown := {name: tag for name, tag in found.items() if tag not in ("pii", "restricted")}:
        raise FeatureError(
            f"Unknown sensitivity in feature_repo: {unknown}. Expected 'pii' or 'restricted'. Correct the tags."
        )
    return found


def erase_online(values: Mapping[str, Collection[Any]]) -> int:
    """Remove for good every row of the online store whose key has one of ``values`` (key column -> values); how many.

    0 when no feature repository was ever applied: then nothing was ever written.
    """
    if not (settings().feast_path / "applied.sha256").is_file():
        return 0
    store = open_store()
    keyed = [view for view in store.list_feature_views() if set(view.join_keys) & values.keys()]
    online = store._get_provider().online_store
    return sum(online.erase_entities(store.config, view, values) for view in keyed)


def newest_times(view: str) -> tuple[datetime | None, datetime | None]:
    """The newest event and the newest knowledge in a view's table; None where it has no row yet."""
    if not tables.exists(view):
        return None, None
    event, created = tables.scan(view).select(pl.col(EVENT).max(), pl.col(CREATED).max()).collect().row(0)
    return event, created


def availability(service: str, joined: pl.DataFrame, as_of: datetime) -> tuple[Availability, ...]:
    """How available each feature of ``service`` is at serving time, from what was known at ``as_of``.

    ``joined`` is what ``build_training_set`` gave for n questions.
    """
    known = {
        view: tables.scan(view).filter(pl.col(CREATED) <= as_of)
        for view in feature_views(service)
        if tables.exists(view)
    }
    return assess(service_columns(service), joined, known, _unreachable(service))


def find_obstacles(service: str, joined: pl.DataFrame) -> dict[str, str]:
    """Why features of ``service`` will not be there at serving time; empty when all will. ``joined`` as above."""
    return obstacles(service_columns(service), joined, _unreachable(service))


def _unreachable(service: str) -> dict[str, str]:
    """Feature -> why it can never be read online, for those that cannot."""
    closed = {}
    for name in feature_views(service):
        if not open_store().get_feature_view(name).online:
            closed[name] = f"view {name!r} is declared with online=False"
        elif not tables.exists(name) or tables.horizon(name, writer=online_writer()) is None:
            closed[name] = (
                f"view {name!r} has never been written to the online store; is it a use case's feature table?"
            )
    sources = OnlineFeatures(open_store(), service).sources
    return {feature: closed[view] for feature, views in sources.items() for view in views if view in closed}


def _configuration(folder: Path) -> RepoConfig:
    # Feast expands ${ESTEIRA_…} in its YAML files from the environment.
    os.environ["ESTEIRA_HOME"] = str(settings().home)
    if settings().online_store == "redis":
        os.environ["ESTEIRA_REDIS_URL"] = settings().redis_url.get_secret_value()
        os.environ["ESTEIRA_ONLINE_IDENTITY"] = online_identity()
    return load_repo_config(folder, folder / _CONFIGURATIONS[settings().online_store])
