"""What is predicted ahead in the evening, beside what the service computes at the same instant."""

import asyncio
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from esteira.contract import CREATED, EVENT, UseCase
from esteira.serving.post_processing import PostProcessing
from esteira.serving.predictor import Predictor
from esteira.stores import clock
from esteira.stores.answers import cached
from esteira.stores.data import tables
from esteira.stores.model_store import models
from esteira.stores.releases import ledger
from esteira.stores.releases.live import Live
from esteira.training.labels import with_predicted_at
from flows.steps import serving
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
MANY, EACH = 10_000, 2_500


def known_entities(use_case: UseCase, now: datetime) -> pl.DataFrame:
    """The newest ten thousand entities that are known now, whenever they are due, asked about now."""
    entities = use_case.build_entities(tables.read_known(use_case.entity_reads, now)).sort(EVENT).tail(MANY)
    moment = pl.lit(now).cast(entities.schema[EVENT])
    return with_predicted_at(entities.with_columns(moment.alias(EVENT)).sort(use_case.entity_id))


def question(entities: pl.DataFrame) -> dict[str, list[Any]]:
    return entities.drop(EVENT, CREATED).to_dict(as_series=False)


def test_on_ten_thousand_entities_what_is_made_ahead_is_what_is_computed(belt: Belt) -> None:
    use_case, now = belt.use_case, clock.horizon(belt.use_case)
    entities, release = known_entities(use_case, now), ledger.live(use_case.name)
    assert entities.height == MANY
    model = models.load(use_case.name, release.model_version)
    predictor = Predictor(model.card, model.pipeline, PostProcessing.of(model.card.kind, release))
    cached.write_cached(use_case.name, "ten-thousand", serving.score_ahead(use_case, predictor, entities))
    ids = entities[use_case.entity_id].to_list()
    ahead = cached.CachedPredictions(use_case.name).read("ten-thousand", ids)
    live = Live(use_case, lambda _: question(entities.head(1)))
    live.start()
    try:
        answers = []
        for piece in entities.iter_slices(EACH):
            given, names = question(piece), piece[use_case.entity_id].to_list()
            answers += asyncio.run(live.predict(names, lambda _, given=given: given, as_of=now)).predictions  # type: ignore[misc]
    finally:
        live.stop()
    bounds = predictor.post_processing.bounds
    for answer in answers:
        made = ahead[answer.entity_id]
        assert answer.prediction == min(max(made.output, bounds[0]), bounds[1])
        assert (answer.missing, answer.feature_ages) == (made.missing, made.feature_ages), answer.entity_id
        assert (answer.computed_at, answer.source) == (made.as_of, "computed")
    assert len(answers) == MANY


def test_a_precompute_that_was_cut_short_goes_on_and_ends_as_if_it_had_not_been(
    belt: Belt, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_case, now = belt.use_case, clock.horizon(belt.use_case)
    release = ledger.live(use_case.name)
    monkeypatch.setattr(serving.ledger, "live", lambda _: release.model_copy(update={"epoch": "cut-short"}))
    monkeypatch.setattr(serving, "PIECE", 400)
    told: list[tuple[int, int]] = []

    def cut(done: int, of: int) -> None:
        told.append((done, of))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serving.precompute_predictions.fn(use_case.name, now, tell=cut)
    assert not cached.Batch(use_case.name, "cut-short", now).is_shown
    whole = serving.precompute_predictions.fn(use_case.name, now, tell=lambda *each: told.append(each))
    assert [done for done, _ in told] == [*range(400, whole.entities, 400), whole.entities]
    history = tables.read(cached.history_table(use_case.name)).filter(epoch="cut-short")
    assert history.height == history["entity_id"].n_unique() == whole.entities
    told.clear()
    assert serving.precompute_predictions.fn(use_case.name, now, tell=lambda *each: told.append(each)) == whole
    assert told == []
