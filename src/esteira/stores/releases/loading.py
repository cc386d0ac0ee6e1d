"""Load a release whole: its verified model, its post-processing, its features; prove it by one prediction.

So too the challenger beside it, if it has one; but a challenger that cannot be loaded keeps nobody from serving.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from esteira.errors import EsteiraError
from esteira.serving.following import Contender, Serving
from esteira.serving.outage import Shielded
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.settings import settings
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.model_store import models
from esteira.stores.releases import ledger
from esteira.traffic import CHALLENGER

Rows = Mapping[str, Sequence[Any]]


def load(
    use_case: str,
    release_id: int,
    probe: Callable[[datetime], Rows],
    moment: datetime,
    current: Serving | None = None,
) -> Serving:
    """The release as it can be served, from the copy of its model in this bento or else from the model store.

    What is being served already (``current``) is not loaded again: a change of traffic is quick.

    Raises AlteredModel when a file is not what was released, ModelError when the model does not answer ``probe`` at
    ``moment`` with a sound prediction, FeatureError when its feature service cannot be read.
    """
    release = ledger.release(use_case, release_id)
    asked = probe(moment)
    if current is not None and _origin(current) == release.origin:
        champion = Serving(release=release, predictor=current.predictor, features=current.features)
    else:
        model = _model(use_case, release.model_version, release.card_sha256)
        rules = PostProcessing.of(model.card.kind, release)
        champion = _proven(
            Serving(release, Predictor(model.card, model.pipeline, rules), _features(release)), asked, moment
        )
    if release.traffic is None:
        return champion
    beside = current.challenger if current is not None else None
    challenger, trouble = _challenger(release, asked, moment, beside)
    return replace(champion, traffic=release.traffic, challenger=challenger, trouble=trouble)


def _challenger(
    release: ledger.Release, asked: Rows, moment: datetime, current: Serving | None
) -> tuple[Serving | None, str | None]:
    """The challenger of ``release``, or in words why it cannot be had."""
    traffic = release.traffic
    assert traffic is not None  # noqa: S101 - asked for only then
    try:
        if current is not None and current.release.model_version == traffic.challenger:
            named = Contender(release.id, traffic.challenger, current.release.feature_service)
            return replace(current, release=named), None
        model = _model(release.use_case, traffic.challenger, traffic.card_sha256)
        named = Contender(release.id, traffic.challenger, model.card.feature_service)
        predictor = Predictor(model.card, model.pipeline)
        return _proven(Serving(named, predictor, _features(named), role=CHALLENGER), asked, moment), None
    except Exception as error:  # noqa: BLE001 - the champion serves, whatever is wrong with its challenger
        why = str(error) if isinstance(error, EsteiraError) else f"{type(error).__name__}: {error}"
        return None, f"The challenger {traffic.challenger} of release {release.id} is not asked anything: {why}"


def _model(use_case: str, version: str, card_sha256: str) -> models.Model:
    packed = settings().repository / "models" / use_case / version
    if packed.is_dir():
        return models.load_from(packed, card_sha256=card_sha256)
    return models.load(use_case, version, card_sha256=card_sha256)


def _features(release: ledger.Release | Contender) -> Shielded:
    store = features.open_store()
    store.refresh_registry()  # it is cached for a minute, and this release may bring a new feature service
    return Shielded(OnlineFeatures(store, release.feature_service))


def _proven(serving: Serving, asked: Rows, moment: datetime) -> Serving:
    serving.predictor.predict(serving.features.read(asked, moment).values)
    return serving


def _origin(serving: Serving) -> int | None:
    return serving.release.origin if isinstance(serving.release, ledger.Release) else None
