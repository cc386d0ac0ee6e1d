"""A Feast view as an online store sees it: where its rows lie, how they are read, when a row may be shown."""

from dataclasses import dataclass
from typing import Any

import polars as pl
from feast.infra.online_stores.helpers import compute_table_id

from esteira.contract import MOMENT
from esteira.errors import WrongColumns
from esteira.features.online_keys import EntityKeys
from esteira.features.online_layout import RowLayout, from_microseconds, to_microseconds

Stored = tuple[int, int, bytes]
"""A row as it lies: event time and knowledge time in microseconds, payload."""


@dataclass(frozen=True)
class OnlineView:
    """A view as an online store sees it, compiled once from its Feast definition."""

    name: str
    table: str
    keys: EntityKeys
    layout: RowLayout
    ttl: int | None
    """Microseconds; None: values never expire."""
    event_column: str
    created_column: str | None

    def shows(self, stored: Stored, moment: int) -> bool:
        """Whether a row was true, known and not expired at ``moment`` (design: time, precisely)."""
        event, created, _ = stored
        return event <= moment and created <= moment and (self.ttl is None or moment - event <= self.ttl)


def online_view(config: Any, view: Any) -> OnlineView:
    """Compile the Feast view ``view`` of the project in ``config`` (a ``RepoConfig``)."""
    source = getattr(view, "batch_source", None)
    ttl = getattr(view, "ttl", None)
    return OnlineView(
        name=view.projection.name_to_use(),
        table=table_name(config, view),
        keys=EntityKeys(
            view.name,
            {column.name: column.dtype.to_value_type() for column in view.entity_columns},
            dict(view.projection.join_key_map),
        ),
        layout=row_layout(view),
        ttl=to_microseconds(from_microseconds(0) + ttl) if ttl else None,
        event_column=source.timestamp_field if source else "event_timestamp",
        created_column=(source.created_timestamp_column or None) if source else None,
    )


def table_name(config: Any, view: Any) -> str:
    """Where a view's rows lie: its project, its name and, if Feast's versioning is on, its version."""
    return str(compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning))


def row_layout(view: Any) -> RowLayout:
    """The places of the features of the Feast view ``view``, as its schema orders them."""
    features = view.features
    return RowLayout(tuple(each.name for each in features), tuple(each.dtype.to_value_type() for each in features))


def checked(view: OnlineView, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of ``frame`` that the view needs, in its types.

    Integers widen and become floats, nothing is cut: anything else than the declared type is refused.
    """
    moments = [view.event_column] + ([view.created_column] if view.created_column else [])
    needed = [*view.keys.types, *view.layout.names, *moments]
    if absent := [name for name in needed if name not in frame.columns]:
        raise WrongColumns(
            f"Cannot write view {view.name!r}: the frame has no column {', '.join(map(repr, absent))}. "
            f"It has {', '.join(frame.columns)}. A row is written whole; add the columns, null where nothing is known."
        )
    for name in moments:
        dtype = frame.schema[name]
        if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None or frame[name].null_count():
            raise WrongColumns(
                f"Cannot write view {view.name!r}: {name!r} is {dtype} with {frame[name].null_count()} nulls. "
                "Expected a datetime with time zone in every row: dt.replace_time_zone('UTC') says what it is."
            )
    casts = [pl.col(name).dt.convert_time_zone("UTC").cast(MOMENT) for name in moments]
    for name, wanted in view.layout.dtypes.items():
        dtype = frame.schema[name]
        if wanted is None or dtype == wanted:
            continue
        widens = dtype.is_integer() and wanted.is_numeric()
        same_kind = dtype.is_float() and wanted.is_float()
        moment = isinstance(dtype, pl.Datetime) and isinstance(wanted, pl.Datetime) and dtype.time_zone is not None
        text = isinstance(dtype, pl.Categorical | pl.Enum) and wanted == pl.String()
        if not (widens or same_kind or moment or text or dtype == pl.Null()):
            raise WrongColumns(
                f"Cannot write view {view.name!r}: the feature {name!r} is {dtype} in the frame, "
                f"the view declares {wanted}. Compute it in that type, or change the view's schema and apply it."
            )
        column = pl.col(name).dt.convert_time_zone("UTC") if moment else pl.col(name)
        casts.append(column.cast(wanted))
    return frame.select(needed).with_columns(casts)
