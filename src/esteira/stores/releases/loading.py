"""Load a release whole: its verified model, its post-processing, its features; prove it by one prediction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from esteira.serving.following import Serving
from esteira.serving.outage import Shielded
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.settings import settings
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.stores.model_store import models
from esteira.stores.releases import ledger


def load(
    use_case: str, release_id: int, probe: Callable[[datetime], Mapping[str, Sequence[Any]]], moment: datetime
) -> Serving:
    """The release as it can be served, from the copy of its model in this bento or else from the model store.

    Raises AlteredModel when a file is not what was released, ModelError when the model does not answer ``probe`` at
    ``moment`` with a sound prediction, FeatureError when its feature service cannot be read.
    """
    release = ledger.release(use_case, release_id)
    packed = settings().repository / "models" / use_case / release.model_version
    model = (
        models.load_from(packed, card_sha256=release.card_sha256)
        if packed.is_dir()
        else models.load(use_case, release.model_version, card_sha256=release.card_sha256)
    )
    store = features.open_store()
    store.refresh_registry()  # it is cached for a minute, and this release may bring a new feature service
    serving = Serving(
        release=release,
        predictor=Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, release)),
        features=Shielded(OnlineFeatures(store, release.feature_service)),
    )
    serving.predictor.predict(serving.features.read(probe(moment), moment).values)
    return serving
