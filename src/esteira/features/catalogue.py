"""What is declared about every feature, how people find one, and which features repeat another under a new name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from esteira.contract import WindowedFeature
from esteira.errors import UnknownName
from esteira.model_card import ModelCard

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One declared feature, as far as the registry and the feature tables tell."""

    name: str
    view: str
    type: str
    description: str
    owner: str
    is_stored: bool
    """Read from a table; otherwise computed at the moment of asking."""
    keys: tuple[str, ...]
    ttl: timedelta | None
    """How long a value lives; None for ever."""
    sources: tuple[str, ...]
    """The raw tables behind it, or the request."""
    window: WindowedFeature | None
    """What it aggregates, when its table says so."""
    feeds: tuple[str, ...]
    """The on-demand views that read it."""
    services: tuple[str, ...]
    """The feature services that hand it to models, directly or through an on-demand view."""

    @property
    def definition(self) -> str:
        """How it is computed, in words."""
        of = ", ".join(self.sources)
        if not self.is_stored:
            return f"computed when asked, from {of}"
        if self.window is None:
            return f"taken from {of}, per {', '.join(self.keys)}"
        return (
            f"{self.window.aggregate} of {self.window.column} over the last {in_words(self.window.width)} in {of}, "
            f"per {', '.join(self.keys)}"
        )


def in_words(span: timedelta) -> str:
    """A length of time in its largest whole unit.

    >>> [in_words(timedelta(hours=hours)) for hours in (0, 0.1, 36, 48)]
    ['0 s', '6 min', '36 h', '2 d']
    """
    seconds = round(span.total_seconds())
    whole = (f"{seconds // size} {unit}" for size, unit in _UNITS if seconds and seconds % size == 0)
    return next(whole, f"{seconds} s")


def search(features: Iterable[Feature], text: str) -> tuple[Feature, ...]:
    """The features that mention every word of ``text``, in whatever case. Raises UnknownName when none does."""
    words = text.lower().split()
    found = tuple(each for each in features if all(word in _text(each) for word in words))
    if not found:
        raise UnknownName(
            f"No feature mentions {text!r} in its name, view, description, owner or definition. "
            "Try fewer words, or see all of them: esteira features list"
        )
    return found


def named(features: Sequence[Feature], name: str) -> tuple[Feature, ...]:
    """The features of this name: one in each view that has it. Raises UnknownName."""
    found = tuple(each for each in features if each.name == name)
    if not found:
        known = sorted({each.name for each in features})
        raise UnknownName.among("feature", name, known, "They are declared in feature_repo/.")
    return found


def repeats(features: Sequence[Feature]) -> tuple[str, ...]:
    """One sentence for each feature that is another one under a new name; the one declared first is the original.

    Two windowed features are the same when they aggregate the same column of a raw table both read in the same way,
    over the same width, for the same keys.
    """
    said = []
    for place, later in enumerate(features):
        first = next((each for each in features[:place] if _same(each, later)), None)
        if first is not None:
            said.append(
                f"Feature {later.name!r} of view {later.view!r} repeats {first.name!r} of view {first.view!r}: "
                f"{first.definition}. Use {first.name!r} (esteira features show {first.name}), or change what "
                f"{later.name!r} computes."
            )
    return tuple(said)


def models_using(feature: Feature, cards: Iterable[ModelCard]) -> tuple[str, ...]:
    """The models, as ``use case:version``, that see the feature as a column or through an on-demand one."""
    behind = {feature.view: feature.name}
    return tuple(
        f"{card.use_case}:{card.version}"
        for card in cards
        if any(behind.get(column.view) == column.name or column.view in feature.feeds for column in card.columns)
    )


def _text(feature: Feature) -> str:
    return " ".join((feature.name, feature.view, feature.description, feature.owner, feature.definition)).lower()


def _same(one: Feature, other: Feature) -> bool:
    if one.window is None or other.window is None or (one.view, one.name) == (other.view, other.name):
        return False
    kinds = [(each.column, each.aggregate, each.width) for each in (one.window, other.window)]
    shared = set(one.sources) & set(other.sources)
    return kinds[0] == kinds[1] and bool(shared) and sorted(one.keys) == sorted(other.keys)
