"""The laws every use case keeps, checked on its own data."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from esteira import use_cases
from esteira.contract import CREATED, EVENT
from esteira.data.schema import require_declared
from esteira.model_card import ModelCard
from esteira.serving.predictor import Predictor
from esteira.stores import clock, features, models, schemas, tables
from esteira.stores.online_features import OnlineFeatures
from esteira.training.fit import fit
from esteira.training.labels import OUTCOME_KNOWN_AT, label_entities, upcoming
from esteira.training.learn import feature_frame
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]


@pytest.fixture(scope="module")
def labelled(belt: Belt) -> pl.DataFrame:
    use_case = belt.use_case
    raw = tables.read_known(sorted({*use_case.entity_reads, *use_case.outcome_reads}), belt.as_of)
    return label_entities(use_case, use_case.build_entities(raw), use_case.build_outcomes(raw), as_of=belt.as_of)


@pytest.fixture(scope="module")
def training_set(belt: Belt, labelled: pl.DataFrame) -> pl.DataFrame:
    return features.build_training_set(belt.use_case.feature_service, labelled)


@pytest.fixture(scope="module")
def model(belt: Belt) -> models.Model:
    return models.load(belt.use_case.name, belt.challenger)


def values_of(rows: pl.DataFrame, card: ModelCard) -> dict[str, list[Any]]:
    return rows.select(column.name for column in card.columns).to_dict(as_series=False)


@pytest.mark.parametrize("name", use_cases.names())
def test_raw_tables_and_feature_tables_do_not_share_a_name(name: str) -> None:
    use_case = use_cases.get(name)
    names = [*(t.name for t in use_case.source.tables), *(t.name for t in use_case.feature_tables)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", use_cases.names())
def test_every_raw_table_has_a_reviewed_schema_of_its_columns(name: str) -> None:
    source = use_cases.get(name).source
    accepted = schemas.accepted(source)
    assert accepted is not None, source.schema_file
    for table in source.tables:
        require_declared(accepted.tables[table.name], table, str(source.schema_file))


@pytest.mark.parametrize("name", use_cases.names())
def test_restricted_columns_are_identifiers_so_no_profile_and_no_finding_shows_them(name: str) -> None:
    accepted = schemas.accepted(use_cases.get(name).source)
    assert accepted is not None
    for table in accepted.tables.values():
        for column in features.sensitive_columns().keys() & table.columns.keys():
            assert table.columns[column].kind == "identifier", column


def test_computed_columns_equal_declared_columns(belt: Belt) -> None:
    for table in belt.use_case.feature_tables:
        view = features.open_store().get_feature_view(table.name)
        declared = {*(field.name for field in view.features), *view.join_keys, EVENT, CREATED}
        assert set(tables.read(table.name).columns) == declared, table.name
        assert set(view.join_keys) == set(table.keys), table.name


def test_every_view_says_what_it_is_and_whose(belt: Belt) -> None:
    for table in belt.use_case.feature_tables:
        view = features.open_store().get_feature_view(table.name)
        assert view.description, table.name
        assert view.owner, table.name
        assert view.ttl, table.name
        assert all(field.description for field in view.features), table.name


def test_no_feature_is_newer_than_its_entity_time(belt: Belt, labelled: pl.DataFrame) -> None:
    times = features.join_times(belt.use_case.feature_service, labelled)
    for name in times.columns:
        assert not (times[name] > labelled[EVENT]).any(), name


def test_no_feature_row_is_known_before_it_is_true(belt: Belt) -> None:
    for table in belt.use_case.feature_tables:
        rows = tables.read(table.name)
        assert not (rows[EVENT] > rows[CREATED]).any(), table.name
        assert rows.select(table.keys[0]).null_count().item() == 0, table.name


def test_a_label_is_unknown_before_its_outcome_arrived(belt: Belt, labelled: pl.DataFrame) -> None:
    assert (labelled[OUTCOME_KNOWN_AT] <= belt.as_of).all()
    assert (labelled[OUTCOME_KNOWN_AT] > labelled[EVENT]).all()
    earlier = belt.as_of - timedelta(days=3)
    raw = tables.read_known(sorted({*belt.use_case.entity_reads, *belt.use_case.outcome_reads}), belt.as_of)
    then = label_entities(
        belt.use_case, belt.use_case.build_entities(raw), belt.use_case.build_outcomes(raw), as_of=earlier
    )
    assert then.height < labelled.height
    assert (then[OUTCOME_KNOWN_AT] <= earlier).all()


def test_outcomes_take_no_longer_than_the_declared_label_delay(belt: Belt, labelled: pl.DataFrame) -> None:
    assert (labelled[OUTCOME_KNOWN_AT] - labelled[EVENT]).max() <= belt.use_case.label_delay  # type: ignore[operator]


def test_rows_out_are_rows_in_and_in_their_order(labelled: pl.DataFrame, training_set: pl.DataFrame) -> None:
    assert training_set.select(labelled.columns).equals(labelled)


def test_online_features_equal_offline_features_row_by_row(belt: Belt) -> None:
    use_case = belt.use_case
    now = clock.horizon(use_case)  # other tests may have moved the belt; online holds the newest values only
    raw = tables.read_known(use_case.entity_reads, now)
    asked = upcoming(use_case, use_case.build_entities(raw), as_of=now)
    offline = features.build_training_set(use_case.feature_service, asked)
    online = OnlineFeatures(features.open_store(), use_case.feature_service).read(asked.to_dict(as_series=False), now)
    assert asked.height > 500
    for name, values in online.values.items():
        assert values == offline[name].to_list(), name


def test_the_same_data_and_seed_give_the_stored_model_to_the_byte_and_the_digit(
    belt: Belt, training_set: pl.DataFrame, model: models.Model
) -> None:
    columns = features.service_columns(belt.use_case.feature_service)
    again = fit(belt.use_case, training_set, columns, as_of=belt.as_of, seed=model.card.seed, threads=1, device="cpu")
    assert models.name_version(again.pipeline, belt.as_of) == belt.challenger
    frame = feature_frame(again.holdout, columns)
    assert (model.pipeline.predict_proba(frame) == again.pipeline.predict_proba(frame)).all()


def test_a_batch_is_predicted_as_one_row_at_a_time(training_set: pl.DataFrame, model: models.Model) -> None:
    rows = training_set.tail(200)
    predictor = Predictor(model.card, model.pipeline)
    batch = predictor.predict(values_of(rows, model.card))
    single = [predictor.predict(values_of(row, model.card))[0] for row in rows.iter_slices(1)]
    assert batch.tolist() == single


def test_predictions_on_unseen_and_missing_values_stay_within_bounds(
    training_set: pl.DataFrame, model: models.Model
) -> None:
    missing = {column.name: [None] for column in model.card.columns}
    strange = {c.name: ["never seen"] if c.type == "category" else [1e9] for c in model.card.columns}
    predictor = Predictor(model.card, model.pipeline)
    low, high = model.card.bounds
    for values in (missing, strange):
        assert low < predictor.predict(values)[0] < high  # a value at a bound would have been clipped


def test_the_model_beats_a_constant(belt: Belt, model: models.Model) -> None:
    metric = {"binary": "log_loss", "regression": "mae"}[belt.use_case.kind]
    assert model.card.metrics[metric].value < model.card.baseline[metric]


def test_the_card_says_where_the_model_comes_from(model: models.Model) -> None:
    card = model.card
    assert card.purpose
    assert card.owner
    assert card.data_versions
    assert card.run_id
    assert len(card.lock_sha256) == 64
    assert card.holdout_from - card.trained_until >= timedelta(days=1)
    assert sum(card.importances.values()) == pytest.approx(1.0)
