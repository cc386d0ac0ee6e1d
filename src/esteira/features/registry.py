"""Read from Feast's registry what is declared about every feature, joined with the windows its table states."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from feast import FeatureStore, OnDemandFeatureView

from esteira.contract import FeatureTable
from esteira.features.catalogue import Feature

_Place = tuple[str, str]
"""A view's name and a feature's."""


def declared_features(store: FeatureStore, tables: Sequence[FeatureTable]) -> tuple[Feature, ...]:
    """Every feature in the registry of ``store``, in the order of ``tables``, then those that have no table.

    A view's raw tables stand in its tag ``source``, the descriptions of an on-demand view's features in its tags.
    """
    on_demand = store.list_on_demand_feature_views()
    feeds = _by_feature((view.name, view.source_feature_view_projections.values()) for view in on_demand)
    services = _by_feature((each.name, each.feature_view_projections) for each in store.list_feature_services())
    through = {
        view.name: {service for each in view.features for service in services[view.name, each.name]}
        for view in on_demand
    }
    order = {table.name: place for place, table in enumerate(tables)}
    windows = {(table.name, window.name): window for table in tables for window in table.windows}
    views = sorted([*store.list_feature_views(), *on_demand], key=lambda view: order.get(view.name, len(order)))
    return tuple(
        Feature(
            name=feature.name,
            view=view.name,
            type=str(feature.dtype),
            description=feature.description or view.tags.get(feature.name, ""),
            owner=view.owner,
            is_stored=not isinstance(view, OnDemandFeatureView),
            keys=() if isinstance(view, OnDemandFeatureView) else tuple(view.join_keys),
            ttl=None if isinstance(view, OnDemandFeatureView) else view.ttl or None,
            sources=tuple(each.strip() for each in view.tags.get("source", view.name).split(",")),
            window=windows.get((view.name, feature.name)),
            feeds=tuple(feeds[view.name, feature.name]),
            services=tuple(
                sorted(
                    {
                        *services[view.name, feature.name],
                        *(service for each in feeds[view.name, feature.name] for service in through[each]),
                    }
                )
            ),
        )
        for view in views
        for feature in view.features
    )


def _by_feature(users: Any) -> defaultdict[_Place, list[str]]:
    """For each feature the names of those that use it, from pairs of a name and its projections of views."""
    found: defaultdict[_Place, list[str]] = defaultdict(list)
    for name, projections in users:
        for projection in projections:
            for feature in projection.features:
                found[projection.name, feature.name].append(name)
    return found
