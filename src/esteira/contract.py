"""What a use case declares, and the few types every room shares.

A use case is values and small pure functions in one frozen dataclass. Rooms receive it as a parameter;
none of them knows a use case by name.

All moments are timezone-aware UTC with microsecond precision. All tables are Polars frames whose rows carry
``event_timestamp`` (when it was true) and ``created_timestamp`` (when we knew it).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import polars as pl

from esteira.errors import InputError
from esteira.limits import GateLimits, HealthLimits, ServiceLimits
from esteira.rules import Rules

if TYPE_CHECKING:  # scikit-learn takes seconds, and whoever only asks about use cases does without
    from sklearn.pipeline import Pipeline

EVENT = "event_timestamp"
CREATED = "created_timestamp"
SENSITIVITY = "sensitivity"
"""The Feast tag of an entity or field whose values are restricted: ``pii`` (leads to a person) or ``restricted``."""
POSITION = "source_position"
"""Where in its source a record stands, e.g. ``orders.csv:17``; a source may add it to what it reads."""
PRIMARY: Mapping[str, str] = {"binary": "log_loss", "regression": "mae"}
"""The metric by which a kind of use case is judged, at the gate and live; lower is better."""
PREDICTED_AT = "predicted_at"
"""Request input that every entity frame carries: the asking moment in whole unix seconds, set by the belt itself."""
MOMENT = pl.Datetime("us", "UTC")

Frames = Mapping[str, pl.DataFrame]


def utc(moment: datetime | str) -> datetime:
    """Return ``moment`` as an aware UTC datetime; a date or naive time in text is taken as UTC.

    >>> utc("2013-03-01").isoformat()
    '2013-03-01T00:00:00+00:00'
    >>> utc("2013-03-01T07:00:00-05:00").isoformat()
    '2013-03-01T12:00:00+00:00'

    Raises:
        InputError: the text is not ISO 8601, or a datetime without time zone was given.
    """
    if isinstance(moment, str):
        try:
            parsed = datetime.fromisoformat(moment)
        except ValueError as error:
            raise InputError(
                f"Cannot read {moment!r} as a moment. Expected ISO 8601, such as 2013-03-01 or 2013-03-01T12:00:00Z."
            ) from error
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    if moment.tzinfo is None:
        raise InputError(f"The moment {moment.isoformat()} has no time zone. Say which one: UTC is expected inside.")
    return moment.astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """A table of records as they arrived: its columns (without the two timestamps) and the keys of one record."""

    name: str
    columns: Mapping[str, pl.DataType]
    keys: tuple[str, ...]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """All columns with their types, timestamps last."""
        return {**self.columns, EVENT: MOMENT, CREATED: MOMENT}


class Source(Protocol):
    """Where records come from: it answers what had arrived between two moments."""

    name: str
    tables: tuple[RawTable, ...]
    schema_file: Path
    """The reviewed schema of its records (data/schema.py), beside the use case; absent until one was accepted."""

    def span(self) -> tuple[datetime, datetime | None]:
        """The first and last moment at which anything arrives; None for a source that goes on.

        Raises MissingData when the source is absent.
        """
        ...

    def read(self, table: str, after: datetime, until: datetime) -> pl.DataFrame:
        """The records of ``table`` with ``after < created_timestamp <= until``, in the table's schema.

        ``source_position`` may come besides. The same question gets the same answer, rows in the same order.
        """
        ...

    def count(self, table: str, until: datetime) -> int:
        """How many records of ``table`` have ``created_timestamp <= until``, as far as the source still has them."""
        ...


@runtime_checkable
class Inventive(Protocol):
    """A source of files that can invent some in their form, for who may not have the real ones."""

    def synthesize(
        self, words: Mapping[str, Mapping[str, tuple[str, ...]]], *, seed: int, days: int
    ) -> Mapping[str, bytes]:
        """File name -> content, from the categories (table -> column -> words) of the reviewed schema alone."""
        ...

    def at(self, folder: Path) -> Source:
        """The same source, reading its files from ``folder``."""
        ...


class WindowedFeature(Protocol):
    """What a windowed feature is: ``aggregate`` of ``column`` over the last ``width``. rolling.Window is one."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def column(self) -> str: ...  # noqa: D102
    @property
    def aggregate(self) -> str: ...  # noqa: D102
    @property
    def width(self) -> timedelta: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """How the rows of one Feast view are computed from raw tables.

    ``compute`` receives each raw table of ``reads`` with every record whose event lies within ``lookback`` before
    the earliest new event, and returns feature rows: keys, the two timestamps and the values. Only rows whose
    ``created_timestamp`` is newer than what the table already holds are kept, so a backfill and a chain of
    increments give the same table.
    """

    name: str
    keys: tuple[str, ...]
    reads: tuple[str, ...]
    lookback: timedelta
    compute: Callable[[Frames], pl.DataFrame]
    windows: tuple[WindowedFeature, ...] = ()
    """The windows ``compute`` aggregates over, if it does: the catalogue shows them and finds repeated ones."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers a tuned parameter may take, from ``low`` to ``high``, both included; ``log`` searches by magnitude."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A family of models that may become challenger.

    ``build`` takes hyperparameters and the run's seed, threads and device, and returns an unfitted Pipeline whose
    first step accepts the untransformed feature columns.
    """

    name: str
    build: Callable[..., "Pipeline"]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Range | tuple[Any, ...]] = field(default_factory=dict)
    """What the tuner may try for a parameter: a range, or the values of a choice. The others stay as they are."""


@dataclass(frozen=True, kw_only=True)
class MonitorLimits:
    """When the monitor watches, and when it asks for a retrain."""

    minimum_rows: int
    """Fewer predictions than this in a window: the monitor abstains."""
    window: timedelta = timedelta(days=7)
    """How long a window is, in whole hours."""
    segment: str | None = None
    """The request column by whose values what was served is profiled apart; one with few values."""
    windows: int = 3
    """How many recent windows are looked at."""
    windows_needed: int = 2
    """In how many of them, the latest included, a signal must stand before a retrain is asked for."""
    cool_down: timedelta = timedelta(days=7)
    retrains_a_month: int = 3
    """How many retrains may be asked for in thirty days."""
    maximum_age: timedelta = timedelta(days=60)
    tolerated_decay: float = 0.05
    """Share by which the primary metric may exceed the one measured when the model was released."""
    outcome_maturity: timedelta = timedelta(days=1)
    """An outcome is expected this long after the prediction; younger predictions are not judged."""


Otherwise = Literal["answer", "default", "cached", "refuse"]
"""What a service does without something it wanted. ``answer``: predict all the same, with the value missing, as the
model learned to. ``default``: give the constant prediction of the release's model card. ``cached``: give the live
release's prediction made ahead, however soon it is due, or refuse. ``refuse``: answer 503 and say why."""


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How old the row of a feature view may be for an answer, and what happens when it is older or absent."""

    view: str
    oldest: timedelta | None = None
    """None: any age within the view's ttl; past that it is absent."""
    otherwise: Otherwise


@dataclass(frozen=True, kw_only=True)
class ServingPolicy:
    """Where answers come from, and what is done when what they are made of is missing or stale.

    A request without ``as_of`` is answered with the prediction made ahead while that is younger than ``cached_for``
    and the entity is due more than ``compute_within`` after now; else it is computed.
    """

    due: str | None = None
    """The request input, in unix seconds, that says when the predicted event begins; None: entities have no such."""
    compute_within: timedelta = timedelta()
    cached_for: timedelta = timedelta(hours=24)
    """Older predictions made ahead are never given."""
    freshness: tuple[Freshness, ...] = ()
    unreachable: Otherwise = "cached"
    """When the online store does not answer in time."""


@dataclass(frozen=True, kw_only=True)
class GroupLimits:
    """When a group of a training set (one value of a slice) is told of, and when nothing is trained."""

    minimum_rows: int = 200
    label_ratio: float = 3.0
    """How many times the mean label may be that of all rows, either way."""
    missing_warn: float = 0.2
    missing_fail: float = 0.5
    """How much larger the share of missing feature values may be than that of all rows."""
    live_share: float = 0.01
    """Groups with a smaller share of recent predictions are not compared with them."""
    represented: float = 0.5
    """The least share of a training set, as a part of the share of recent predictions."""


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """One prediction problem: what is predicted, from which features, judged by which rules."""

    name: str
    purpose: str
    owner: str
    kind: Literal["binary", "regression"]
    source: Source
    feature_tables: tuple[FeatureTable, ...]
    feature_service: str
    entity_id: str
    """The one column that names a thing to predict for; outcomes and cached predictions are keyed by it."""
    entity_keys: tuple[str, ...]
    """Join keys of all views in the feature service; an entity frame holds them."""
    request_inputs: tuple[str, ...]
    """Columns a request brings along for on-demand features, besides the keys."""
    entity_reads: tuple[str, ...]
    """Raw tables that ``build_entities`` and ``entity_values`` read."""
    build_entities: Callable[[Frames], pl.DataFrame]
    """Raw tables -> one row per entity: entity_id, keys, request inputs, ``event_timestamp`` (when it is asked)
    and ``created_timestamp`` (when the entity became known)."""
    outcome_reads: tuple[str, ...]
    build_outcomes: Callable[[Frames], pl.DataFrame]
    """Raw tables -> entity_id, ``outcome``, ``event_timestamp``, ``created_timestamp`` (when the outcome was known)."""
    entity_values: Callable[[Frames], Mapping[str, tuple[str, ...]]]
    """Raw tables -> allowed values of keys whose domain is closed; anything else in a request is refused."""
    slices: tuple[str, ...]
    """Entity or feature columns by which quality is judged separately."""
    label_delay: timedelta
    """The gap between training rows and evaluation rows, at least as long as an outcome takes to be known."""
    horizon: timedelta
    """How far ahead entities are known and scored by precompute."""
    holdout: timedelta
    """The newest labelled stretch, kept out of training, on which the gate judges."""
    candidates: tuple[Candidate, ...]
    threshold: float
    """Binary: probability from which the decision is yes. Regression: unused."""
    bounds: tuple[float, float]
    """Predictions outside are clipped by post-processing."""
    is_served: bool = True
    """Whether a bento answers questions about it; otherwise its predictions are only made ahead."""
    rules: Rules = ()
    """Further post-processing, in this order."""
    serving: ServingPolicy = ServingPolicy()
    gate: GateLimits
    approval: Literal["auto", "review"] = "auto"
    """Who lets a release go live: the gate alone, or a person besides, other than who asked for it."""
    service: ServiceLimits = field(default_factory=ServiceLimits)
    """What its service must keep before a release."""
    monitor: MonitorLimits
    health: HealthLimits = field(default_factory=HealthLimits)
    """When a fresh release is rolled back at once."""
    groups: GroupLimits = field(default_factory=GroupLimits)
    retention: Mapping[str, timedelta] = field(default_factory=dict)
    """How long things are kept: a table's rows by its name (``predictions_<use case>`` for the log), and by kind
    ``model``, ``training-set``, ``profiles``. What is not named is kept for ever."""
    limits: tuple[str, ...] = ()
    """Sentences for the model card: what a model must not be used for, what it was never shown. A model without them
    is not released."""


@dataclass(frozen=True)
class FeatureRows:
    """Feature values of n entities as one read found them, with the times they are from.

    ``values`` has every column of a feature service, on-demand ones included: name -> n values, missing is None.
    ``event_times`` and ``created_times`` have one entry per view: name -> n aware UTC moments, None where nothing
    was found or what was found had expired.
    """

    values: Mapping[str, list[Any]]
    event_times: Mapping[str, list[datetime | None]]
    created_times: Mapping[str, list[datetime | None]]
