"""The features of one request: a feature service compiled once from Feast's registry, read in one round trip.

Feast's own ``get_online_features`` resolves names, builds a message per value and ignores expiry; here names are
resolved when the object is made, values stay native, and ``as_of`` decides what may be seen.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from feast import FeatureStore, FeatureView, OnDemandFeatureView
from feast.errors import FeastObjectNotFoundException
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from esteira.contract import FeatureRows
from esteira.errors import FeatureError, InvalidRequest, UnknownName
from esteira.features.online_on_demand import OnDemand, on_demand, request_input, transform
from esteira.features.online_store import FreshOnlineStore, OnlineView, online_view

_TIMED = 200


class OnlineFeatures:
    """The online values of every feature of one feature service."""

    def __init__(self, store: FeatureStore, service: str) -> None:
        """Resolve ``service`` in the registry of ``store``; nothing is looked up there afterwards.

        Raises:
            UnknownName: there is no such feature service.
            FeatureError: the store does not keep the freshness contract, two views give a feature the same name, or
                an on-demand view is not list-in list-out Python.
        """
        self._config = store.config
        self._store = fresh_store(store)
        declared = _service(store, service)
        views: dict[str, OnlineView] = {}
        wanted: dict[str, str] = {}
        self._on_demand: list[OnDemand] = []
        for projection in declared.feature_view_projections:
            alias = projection.name_to_use()
            view = store.registry.get_any_feature_view(projection.name, store.project, allow_cache=False)
            for feature in projection.features:
                if feature.name in wanted:
                    raise FeatureError(
                        f"Feature service {service!r} has {feature.name!r} from both {wanted[feature.name]!r} and "
                        f"{alias!r}. A model sees columns by name: rename one of them in feature_repo/."
                    )
                wanted[feature.name] = alias
            if isinstance(view, OnDemandFeatureView):
                self._on_demand.append(on_demand(view, alias))
                for source in view.source_feature_view_projections.values():
                    inner = store.registry.get_any_feature_view(source.name, store.project, allow_cache=False)
                    views.setdefault(source.name_to_use(), online_view(self._config, _projected(inner, source)))
            else:
                views[alias] = online_view(self._config, _projected(view, projection))
        self._views = tuple(views.values())
        self._requests = {name: kind for each in self._on_demand for name, kind in each.requests.items()}
        self._keys = tuple(
            dict.fromkeys(key for view in self._views for key in view.keys.columns if key != DUMMY_ENTITY_ID)
        )
        self.service = service
        self._wanted = wanted
        self.columns: tuple[str, ...] = tuple(wanted)
        """Every feature of the service, in its order."""
        behind = {each.name: tuple(source for source, _ in each.sources) for each in self._on_demand}
        self.sources: Mapping[str, tuple[str, ...]] = {name: behind.get(view, (view,)) for name, view in wanted.items()}
        """Feature -> the views whose stored values it is made of; none for a feature of the request alone."""
        self.ttls: Mapping[str, timedelta | None] = {
            view.name: None if view.ttl is None else timedelta(microseconds=view.ttl) for view in self._views
        }
        """View -> how long its values live; None is for ever."""

    def read(self, rows: Mapping[str, Sequence[Any]], as_of: datetime) -> FeatureRows:
        """The features of n entities as they were visible at ``as_of``; missing is None.

        ``rows`` has a column of n values for each entity key and each request input; other columns are not looked at.

        Raises:
            InvalidRequest: a column is absent, of another length, or holds a value of another type.
            FeatureError: the store cannot be read, or an on-demand view fails.
        """
        count = self._count(rows)
        given: dict[str, Sequence[Any]] = dict(rows)
        given[DUMMY_ENTITY_ID] = [DUMMY_ENTITY_VAL] * count
        found = dict(
            zip(
                (view.name for view in self._views),
                self._store.read_views(self._config, [(view, given) for view in self._views], as_of),
                strict=True,
            )
        )
        values = {name: found[view].values[name] for name, view in self._wanted.items() if view in found}
        inputs = {name: request_input(name, rows[name], kind) for name, kind in self._requests.items()}
        for view in self._on_demand:
            values.update(transform(view, given, inputs, found, count))
        return FeatureRows(
            values={name: values[name] for name in self.columns},
            event_times={name: read.event_times for name, read in found.items()},
            created_times={name: read.created_times for name, read in found.items()},
        )

    def _count(self, rows: Mapping[str, Sequence[Any]]) -> int:
        needed = [*self._keys, *self._requests]
        if absent := [name for name in needed if name not in rows]:
            raise InvalidRequest(
                f"Cannot look up the features of {self.service!r}: {', '.join(map(repr, absent))} is not in the "
                f"request. Given: {', '.join(rows) or 'nothing'}. Send {', '.join(needed)}."
            )
        lengths = {name: len(rows[name]) for name in needed}
        if len(set(lengths.values())) > 1:
            raise InvalidRequest(
                f"Cannot look up the features of {self.service!r}: columns differ in length, {lengths}. "
                "Send one value per entity in every column."
            )
        return next(iter(lengths.values()), 1)


def write_online(store: FeatureStore, view_name: str, frame: pl.DataFrame) -> int:
    """Write the newest row of each entity in ``frame`` to the online store; returns how many were news to it.

    Raises:
        UnknownName: the registry has no such view.
        WrongColumns: ``frame`` is not what the view declares.
        FeatureError: the store does not keep the freshness contract or cannot be reached.
    """
    try:
        view = store.get_feature_view(view_name)
    except FeastObjectNotFoundException as error:
        known = [each.name for each in store.list_feature_views()]
        raise UnknownName.among(
            "feature view", view_name, known, "Declare it in feature_repo/ and apply it with the ingest flow."
        ) from error
    return fresh_store(store).write_frame(store.config, view, frame)


def lookup_ms(store: FeatureStore, view_name: str, entity: Mapping[str, Sequence[Any]], as_of: datetime) -> float:
    """The median time, in milliseconds, to read one entity (each key column with one value) from one view."""
    online = fresh_store(store)
    reads = [(online_view(store.config, store.get_feature_view(view_name)), entity)]
    lasted = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        online.read_views(store.config, reads, as_of)
        lasted.append((time.perf_counter() - started) * 1000)
    return statistics.median(lasted)


def is_empty(store: FeatureStore, view_name: str) -> bool:
    """Whether the online store keeps nothing of a view. Raises FeatureError when it cannot be reached."""
    return fresh_store(store).is_empty(store.config, store.get_feature_view(view_name))


def fresh_store(store: FeatureStore) -> FreshOnlineStore:
    """The online store behind ``store``. Raises FeatureError if it does not keep the freshness contract."""
    online = store._get_provider().online_store
    if not isinstance(online, FreshOnlineStore):
        raise FeatureError(
            f"The online store is {type(online).__name__}, which serves expired values and lets old events overwrite "
            "new ones. Set online_store.type in feature_store.yaml to a class of esteira.features.online_store."
        )
    return online


def _service(store: FeatureStore, service: str) -> Any:
    try:
        return store.get_feature_service(service)
    except FeastObjectNotFoundException as error:
        known = [each.name for each in store.list_feature_services()]
        raise UnknownName.among(
            "feature service", service, known, "They are declared in feature_repo/; apply it with the ingest flow."
        ) from error


def _projected(view: Any, projection: Any) -> Any:
    if not isinstance(view, FeatureView):
        raise FeatureError(
            f"View {projection.name!r} is a {type(view).__name__}. Expected a feature view with stored values, "
            "or an on-demand view directly in the feature service."
        )
    return view.with_projection(projection)
