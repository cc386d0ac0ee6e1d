"""What may be removed because it is older than its use case keeps it, and what is kept all the same, and why."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from esteira.contract import UseCase
from esteira.errors import InputError
from esteira.model_card import Frozen

ITEM_KINDS = ("model", "training-set", "profiles")
"""Kinds of items that are removed whole; of tables only old rows are."""


class Item(Frozen):
    """Something that is removed whole."""

    name: str
    """``kind:name``, as a hold names it."""
    serves: str
    """What it is needed for, in the words of ``Staying.needs``."""
    moment: datetime
    """The newest moment it is about."""

    @property
    def kind(self) -> str:
        """One of ``ITEM_KINDS``."""
        return self.name.partition(":")[0]


class Staying(Frozen):
    """A release that must stay whole: it is served, or may be restored at any moment."""

    use_case: str
    id: int
    model_version: str
    trained_at: datetime
    """Its model's ``as_of``."""
    why: str

    @property
    def needs(self) -> frozenset[str]:
        """What it cannot do without."""
        return frozenset(
            (
                of_model(self.use_case, self.model_version),
                of_training(self.use_case, self.trained_at),
                of_release(self.use_case, self.id),
            )
        )


def of_model(use_case: str, version: str) -> str:
    """What a stored model serves."""
    return f"model {use_case}/{version}"


def of_training(use_case: str, as_of: datetime) -> str:
    """What a training set serves: the models that were trained as of its moment."""
    return f"training {use_case}/{as_of:%Y%m%dT%H%M%S}"


def of_release(use_case: str, release: int) -> str:
    """What the profiles of a release's windows serve."""
    return f"release {use_case}/{release}"


class Decision(Frozen):
    """What retention does with one item, and why."""

    item: str
    removed: bool
    reason: str


def decide(
    items: Iterable[Item],
    kept_for: Mapping[str, timedelta],
    as_of: datetime,
    *,
    staying: Iterable[Staying],
    unjudged: Iterable[Item],
    held: Collection[str],
) -> tuple[Decision, ...]:
    """One decision for each item that is older than ``kept_for`` (kind -> how long) allows at ``as_of``.

    What a ``staying`` release needs is kept, as are models nobody has judged yet and their training sets, and what is
    held. Kinds without a retention are kept for ever; such items, and young ones, are not decided about.
    """
    reasons = {need: release.why for release in staying for need in release.needs}
    reasons |= {item.serves: "it waits for its verdict" for item in unjudged}
    decisions = []
    for item in items:
        keep = kept_for.get(item.kind)
        if keep is None or item.moment >= as_of - keep:
            continue
        why = "it is held" if item.name in held else reasons.get(item.serves)
        told = f"Kept, because {why}." if why else f"Of {item.moment:%Y-%m-%d}; kept for {keep.days} days."
        decisions.append(Decision(item=item.name, removed=why is None, reason=told))
    return tuple(decisions)


def table_retention(use_cases: Iterable[UseCase]) -> dict[str, timedelta]:
    """Table -> how long its rows are kept: by the use case that keeps them longest; for ever if one says nothing.

    Raises InputError when a table is kept for less than a feature looks back in it: features would then change with
    the day of the clean-up.
    """
    declared: dict[str, list[timedelta | None]] = {}
    for each in use_cases:
        computed = {table.name for table in each.feature_tables}
        for name in sorted({table.name for table in each.source.tables} | computed | {f"predictions_{each.name}"}):
            declared.setdefault(name, []).append(each.retention.get(name))
        for table in each.feature_tables:
            for name in table.reads:
                keep = each.retention.get(name)
                if keep is not None and keep < table.lookback:
                    raise InputError(
                        f"Use case {each.name!r} keeps rows of {name!r} for {keep.days} days, but features of "
                        f"{table.name!r} look back {table.lookback.days} days. Keep them longer."
                    )
    kept: dict[str, timedelta] = {}
    for name, spans in declared.items():
        known = [span for span in spans if span is not None]
        if len(known) == len(spans):
            kept[name] = max(known)
    return kept
