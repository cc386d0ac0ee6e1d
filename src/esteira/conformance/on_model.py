"""Laws about the model a use case trained: the same again, batch as single, within bounds, better than nothing."""

from math import isclose
from typing import Any

import polars as pl

from esteira.conformance.case import Case
from esteira.conformance.law import law, require
from esteira.contract import PRIMARY
from esteira.model_card import missing_records
from esteira.serving.predictor import Predictor
from esteira.settings import settings
from esteira.stores.feature_store import features
from esteira.stores.model_store import models
from esteira.training.fit import fit
from esteira.training.intervals import NINE_OF_TEN
from esteira.training.recipe import Entrant

_ASKED_ALONE, _ROUNDING = 200, 1e-6
_OFF = 0.07  # what two weeks differ by, and more than a hundred rows differ by chance


def _values(rows: pl.DataFrame, case: Case) -> dict[str, list[Any]]:
    return rows.select(column.name for column in case.model.card.columns).to_dict(as_series=False)


def _given(rows: pl.DataFrame, case: Case) -> dict[str, list[Any]]:
    names = (*case.use_case.entity_keys, *case.use_case.request_inputs)
    return rows.select(name for name in names if name in rows.columns).to_dict(as_series=False)


@law("model")
def a_restricted_feature_is_a_category(case: Case) -> None:
    """A restricted feature is a category: masks are text, and profiles of numbers could not be made of them."""
    restricted = features.sensitive_columns()
    numbers = [each.name for each in case.model.card.columns if each.type == "number" and each.name in restricted]
    require(
        not numbers,
        f"{numbers} are restricted, and the model reads them as numbers: the monitor could not profile them masked. "
        "Give them a text type in feature_repo, or learn from something that is not restricted.",
    )


@law("model")
def the_same_data_and_seed_give_the_same_bytes(case: Case) -> None:
    """The same data, code and seed give the stored model again, to the byte, on one thread or several."""
    card = case.model.card
    candidate = next(each for each in case.use_case.candidates if each.name == card.candidate)
    again = fit(
        case.use_case,
        case.training_set,
        features.service_columns(case.use_case.feature_service),
        as_of=case.as_of,
        seed=card.seed,
        threads=1,
        device=settings().device,
        entrants=[Entrant(candidate, card.parameters, "As on the card.")],
    )
    version = models.name_version(again.pipeline, case.as_of)
    require(
        version == card.version,
        f"Training again gave {version}, stored is {card.version}. Something is random or reads the clock: pass "
        f"seed to the estimator in {case.folder}model.py, and compute features from their arguments alone.",
    )


@law("model")
def a_batch_is_predicted_as_one_row_at_a_time(case: Case) -> None:
    """A batch is predicted as its rows one at a time."""
    rows, predictor = case.training_set.tail(_ASKED_ALONE), Predictor(case.model.card, case.model.pipeline)
    batch = predictor.predict(_values(rows, case), _given(rows, case)).tolist()
    single = [predictor.predict(_values(row, case), _given(row, case))[0] for row in rows.iter_slices(1)]
    # To rounding: a linear model adds up 32-bit products in another order for a matrix than for a row.
    off = sum(not isclose(one, many, rel_tol=_ROUNDING) for one, many in zip(single, batch, strict=True))
    require(
        not off,
        f"{off} of {len(batch)} predictions depend on the rows beside them. No step of the pipeline may look at a "
        "whole batch when it predicts.",
    )


@law("model")
def unseen_and_missing_values_stay_within_bounds(case: Case) -> None:
    """On missing, unseen and absurd values the prediction is a number within the bounds."""
    card = case.model.card
    predictor = Predictor(card, case.model.pipeline)
    low, high = card.bounds
    missing: dict[str, list[Any]] = {column.name: [None] for column in card.columns}
    strange = {each.name: ["never seen"] if each.type == "category" else [1e9] for each in card.columns}
    nothing = {name: [None] for name in (*case.use_case.entity_keys, *case.use_case.request_inputs)}
    for values in (missing, strange):
        answer = float(predictor.predict(values, nothing)[0])
        require(
            low <= answer <= high, f"The prediction is {answer}, bounds are {card.bounds}. Clip it, or widen bounds."
        )


@law("model")
def it_beats_a_constant(case: Case) -> None:
    """The model beats the best constant prediction on rows it never saw."""
    card, metric = case.model.card, PRIMARY[case.use_case.kind]
    found, constant = card.metrics[metric].value, card.baseline[metric]
    require(
        found < constant,
        f"{metric} is {found:.4f}, the constant's is {constant:.4f}: the features say nothing about the outcome yet. "
        "See esteira features worth, and whether features are there at the asking moment.",
    )


@law("model")
def intervals_hold_what_they_promise(case: Case) -> None:
    """An interval around an estimate holds about nine of ten outcomes."""
    found = case.model.card.coverage
    require(
        found is None or abs(found - NINE_OF_TEN) <= _OFF,
        f"Intervals learned from the older half of the holdout held {found or 0:.1%} of the newer half, "
        f"{NINE_OF_TEN:.0%} is meant. The outcome moves too fast for it: shorten label_delay, lengthen holdout, or "
        "add features that move with it.",
    )


@law("model")
def the_card_says_where_it_comes_from(case: Case) -> None:
    """The model card has every record a release needs."""
    absent = missing_records(case.model.card, case.model.attachments)
    require(not absent, f"The model's card or files lack {absent}. State them in {case.folder}, then train again.")
