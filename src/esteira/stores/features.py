"""The feature store's offline side: apply the Feast repository, ask the registry, join training sets."""

import contextlib
import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import polars as pl
from feast import FeatureStore, RepoConfig
from feast.errors import FeastObjectNotFoundException
from feast.repo_config import load_repo_config
from feast.repo_operations import extract_objects_for_apply_delete, parse_repo

from esteira.contract import CREATED, EVENT
from esteira.errors import FeatureError, MissingData, UnknownName
from esteira.features.asof import point_in_time_join
from esteira.model_card import Column
from esteira.settings import settings
from esteira.stores import tables
from esteira.stores.online_features import OnlineFeatures

_CONFIGURATION = "feature_store.yaml"

# Feast says so at every use; what the warning is about, slow offline retrieval, our offline store does not have.
warnings.filterwarnings("ignore", "On demand feature view is an experimental feature", RuntimeWarning)


def apply() -> str:
    """Bring the Feast registry and online store into the state the feature repository declares; return the plan.

    A repository whose files have not changed since they were last applied is left alone: Feast takes seconds to find
    that out, and ingest runs every hour.
    """
    repository = settings().feature_repo_path
    applied = settings().feast_path / "applied.sha256"
    digest = _digest(repository)
    if applied.is_file() and applied.read_text() == digest:
        return "No change: the feature repository is as it was applied."
    settings().feast_path.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(config=_configuration(repository))
    with contextlib.chdir(repository), _importable(repository):
        contents = parse_repo(repository)
        plan = str(store.plan(contents)[0].to_string())
        to_apply, to_delete, _, _ = extract_objects_for_apply_delete(store.project, store.registry, contents)
        store.apply(to_apply, objects_to_delete=to_delete, partial=False)
    applied.write_text(digest)
    open_store.cache_clear()
    return plan


@lru_cache(maxsize=1)
def open_store() -> FeatureStore:
    """This process's Feast store. Raises MissingData when the repository has not been applied yet."""
    if not settings().feast_path.is_dir():
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


def _digest(repository: Path) -> str:
    digest = hashlib.sha256(str(settings().home).encode())  # sources name paths under home
    for file in sorted([*repository.glob("*.py"), *repository.glob("*.yaml")]):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _configuration(repository: Path) -> RepoConfig:
    # Feast expands ${ESTEIRA_HOME} in its YAML file from the environment.
    os.environ["ESTEIRA_HOME"] = str(settings().home)
    return load_repo_config(repository, repository / _CONFIGURATION)


@contextlib.contextmanager
def _importable(repository: Path) -> Iterator[None]:
    # Feast imports the repository's files as top-level modules.
    sys.path.insert(0, str(repository))
    try:
        yield
    finally:
        sys.path.remove(str(repository))
