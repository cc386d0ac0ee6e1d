import contextlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier, XGBRegressor

from esteira.calibration import Calibrated
from esteira.encoding import ColumnEncoder, DenseEncoder
from esteira.errors import AlteredModel, ModelError, UnknownName
from esteira.model_card import Column, Estimate, ModelCard
from esteira.settings import settings
from esteira.stores.model_store import models

AS_OF = datetime(2013, 3, 1, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("home")

PROFILE = {"reference.bin": b"\x00profile"}


def frame(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    origins = np.array(["EWR", "JFK", None], dtype=object)[generator.integers(0, 3, rows)]
    return pd.DataFrame({"origin": origins, "delay": generator.normal(size=rows)})


def fitted(kind: str = "xgboost", *, depth: int = 3, threads: int = 1) -> Pipeline:
    trees = {"n_estimators": 5, "max_depth": depth, "n_jobs": threads}
    encoder, model = {
        "xgboost": (ColumnEncoder(), XGBClassifier(**trees)),
        "calibrated": (ColumnEncoder(), Calibrated(XGBClassifier(**trees))),
        "calibrated logistic": (DenseEncoder(), Calibrated(LogisticRegression())),
        "regression": (ColumnEncoder(), XGBRegressor(**trees)),
        "logistic": (DenseEncoder(), LogisticRegression()),
    }[kind]
    rows = frame()
    return Pipeline([("encode", encoder), ("model", model)]).fit(rows, (rows.delay > 0).astype(int))


def card_of(pipeline: Pipeline, **changed: Any) -> ModelCard:
    known: dict[str, Any] = {
        "use_case": "flight_delay", "version": models.name_version(pipeline, AS_OF), "kind": "binary",
        "purpose": "Test",
        "owner": "tests", "candidate": "xgboost", "parameters": {"max_depth": 3}, "selection": ("The only candidate.",),
        "feature_service": "flight_delay_v1",
        "columns": (
            Column(name="origin", type="category", view="plan"), Column(name="delay", type="number", view="history")
        ),
        "entity_values": {"origin": ("EWR", "JFK")}, "as_of": AS_OF, "trained_from": AS_OF, "trained_until": AS_OF,
        "training_rows": 200, "holdout_from": AS_OF, "holdout_until": AS_OF,
        "metrics": {"auc": Estimate(value=0.7, low=0.6, high=0.8, rows=100)}, "baseline": {"log_loss": 0.69},
        "slices": (), "importances": {"origin": 0.2, "delay": 0.8}, "threshold": 0.5, "bounds": (0.0, 1.0),
        "data_versions": {"arrivals": 3}, "code_commit": "abc", "lock_sha256": "def", "seed": 1, "cause": "A test.",
        "run_id": "run",
    }  # fmt: skip
    return ModelCard(**{**known, **changed})


def answers(pipeline: Pipeline, rows: pd.DataFrame) -> bytes:
    predict = getattr(pipeline, "predict_proba", pipeline.predict)
    return bytes(np.asarray(predict(rows)).tobytes())


@pytest.mark.parametrize("kind", ["xgboost", "regression", "logistic", "calibrated", "calibrated logistic"])
def test_a_loaded_model_answers_bit_for_bit_as_the_saved_one(kind: str) -> None:
    pipeline = fitted(kind)
    card = models.save(pipeline, card_of(pipeline), PROFILE)
    model = models.load("flight_delay", card.version)
    rows = frame(seed=1)
    assert answers(model.pipeline, rows) == answers(pipeline, rows)
    assert answers(model.pipeline, rows.iloc[:1]) == answers(pipeline, rows.iloc[:1])
    assert model.card == card
    assert model.attachments == PROFILE


def test_saving_again_the_loaded_model_gives_the_same_bytes() -> None:
    for kind in ("xgboost", "logistic"):
        pipeline = fitted(kind)
        card = models.save(pipeline, card_of(pipeline), {})
        loaded = models.load("flight_delay", card.version).pipeline
        assert models.name_version(loaded, AS_OF) == card.version


@pytest.mark.slow
def test_the_same_model_has_the_same_name_in_another_process_and_on_two_threads() -> None:
    program = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('again', sys.argv[1]); "
        "again = importlib.util.module_from_spec(spec); spec.loader.exec_module(again); "
        "print(*(again.models.name_version(again.fitted(kind, threads=2), again.AS_OF)"
        " for kind in ('xgboost', 'logistic')))"
    )
    run = subprocess.run([sys.executable, "-c", program, __file__], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [models.name_version(fitted(kind), AS_OF) for kind in ("xgboost", "logistic")]
    assert models.name_version(fitted(depth=2), AS_OF) not in run.stdout


def test_saving_twice_returns_the_first_card_and_changes_nothing() -> None:
    pipeline = fitted()
    first = models.save(pipeline, card_of(pipeline), PROFILE)
    second = models.save(pipeline, card_of(pipeline, run_id="a later run"), {"reference.bin": b"other"})
    assert second == first
    assert models.load("flight_delay", first.version).attachments == PROFILE
    assert models.versions("flight_delay") == [first.version]


def test_a_version_is_never_replaced_by_another_model() -> None:
    card = models.save(fitted(), card_of(fitted()), {})
    other = fitted(depth=1)
    with pytest.raises(ModelError, match=r"exists with another .* never replaced"):
        models.save(other, card_of(other, version=card.version), {})
    assert models.load("flight_delay", card.version).card == card


@pytest.mark.parametrize("name", ["pipeline.skops", "trees.ubj", "estimator.json", "reference.bin", "model.yaml"])
def test_one_flipped_bit_in_any_file_is_found_before_it_is_parsed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = fitted()
    card = models.save(pipeline, card_of(pipeline), PROFILE)
    path = settings().bentoml_path / "models" / "flight_delay" / card.version / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(models, "build_pipeline", lambda _files: pytest.fail("parsed altered bytes"))
    with pytest.raises(AlteredModel, match=name):
        models.load("flight_delay", card.version)


@pytest.mark.slow
def test_a_thousand_flipped_bits_anywhere_are_all_found_before_anything_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = fitted()
    card = models.save(pipeline, card_of(pipeline), PROFILE)
    model = models.load("flight_delay", card.version)
    monkeypatch.setattr(models, "build_pipeline", lambda _files: pytest.fail("parsed altered bytes"))
    monkeypatch.setattr(
        models, "parse_card", _unless_altered(models.parse_card, (model.path / "card.json").read_bytes())
    )
    files = sorted(each for each in model.path.iterdir())
    chance = random.Random(2013)
    for _ in range(1_000):
        file = chance.choice(files)
        sound = file.read_bytes()
        altered = bytearray(sound)
        altered[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        file.write_bytes(altered)
        with pytest.raises(AlteredModel, match=file.name):
            models.load_from(model.path, card_sha256=model.card_sha256)
        file.write_bytes(sound)


def _unless_altered(parse: Any, sound: bytes) -> Any:
    def parsed(path: Any, written: bytes) -> Any:
        assert written == sound, "parsed an altered card"
        return parse(path, written)

    return parsed


def test_an_altered_card_a_missing_file_and_an_unlisted_one_are_found() -> None:
    pipeline = fitted()
    card = models.save(pipeline, card_of(pipeline), {})
    model = models.load("flight_delay", card.version)
    assert models.load("flight_delay", card.version, card_sha256=model.card_sha256).card == card
    with pytest.raises(AlteredModel, match=r"card\.json"):
        models.load("flight_delay", card.version, card_sha256="0" * 64)
    (model.path / "custom_objects.pkl").write_bytes(b"")
    with pytest.raises(AlteredModel, match=r"custom_objects\.pkl"):
        models.load_from(model.path)
    (model.path / "custom_objects.pkl").unlink()
    (model.path / "trees.ubj").unlink()
    with pytest.raises(AlteredModel, match=r"trees\.ubj.*cannot be read"):
        models.load_from(model.path)
    (model.path / "card.json").write_text(json.dumps({"use_case": "flight_delay"}))
    with pytest.raises(AlteredModel, match="fields are wrong"):
        models.load_from(model.path)


class Killed(BaseException):
    """The process ends here: nothing after it runs, not even tidying up."""


@pytest.mark.parametrize("survived", range(9))
def test_a_save_killed_at_any_step_leaves_all_or_nothing_and_can_be_repeated(
    survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = models.save(fitted(depth=1), card_of(fitted(depth=1)), {})
    pipeline = fitted("logistic")
    card = card_of(pipeline)
    steps = iter(range(survived))

    def mortal(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            if next(steps, None) is None:
                raise Killed
            return step(*given, **named)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(models.os, "fsync", mortal(models.os.fsync))
        patch.setattr(models.Path, "rename", mortal(models.Path.rename))
        patch.setattr(models.Path, "mkdir", mortal(models.Path.mkdir))
        patch.setattr(models.shutil, "rmtree", lambda *_given, **_named: None)
        with contextlib.suppress(Killed):
            models.save(pipeline, card, PROFILE)
    for version in models.versions("flight_delay"):
        assert models.load("flight_delay", version).card.version == version
    assert before.version in models.versions("flight_delay")
    assert models.save(pipeline, card, PROFILE).version == card.version
    assert models.load("flight_delay", card.version).attachments == PROFILE


def test_versions_are_listed_by_day_then_as_they_were_saved() -> None:
    for name in ("2013-03-01-b", "2013-03-01-a", "2013-02-01-c"):
        models.save(fitted("logistic"), card_of(fitted("logistic"), version=name), {})
    assert models.versions("flight_delay") == ["2013-02-01-c", "2013-03-01-b", "2013-03-01-a"]


def test_an_unknown_version_is_told_what_exists() -> None:
    pipeline = fitted()
    card = models.save(pipeline, card_of(pipeline), {})
    with pytest.raises(UnknownName, match=rf"'2012-01-01-0'\. Known: {card.version}"):
        models.load("flight_delay", "2012-01-01-0")
    with pytest.raises(ModelError, match="latest"):
        models.load("flight_delay", "latest")
    with pytest.raises(ModelError, match=r"\.\./x"):
        models.save(pipeline, card, {"../x": b""})


def test_a_model_is_measured_as_it_will_be_served() -> None:
    for kind in ("xgboost", "logistic", "regression"):
        found = models.measure(fitted(kind), frame())
        assert 0 < found.size_bytes < 100_000
        assert 0 < found.one_row_ms <= found.one_row_ms_p99


def test_a_pipeline_with_a_function_inside_is_refused_when_saved() -> None:
    rows = frame()
    pipeline = Pipeline([("function", FunctionTransformer(answers)), ("encode", ColumnEncoder())])
    pipeline.steps[1][1].fit(rows)
    with pytest.raises(ModelError, match="not trusted"):
        models.name_version(pipeline, AS_OF)


def test_bentoml_itself_lists_the_model_and_no_latest_is_written() -> None:
    pipeline = fitted()
    card = models.save(pipeline, card_of(pipeline), PROFILE)
    from bentoml._internal.models.model import ModelStore

    folder = settings().bentoml_path / "models"
    listed = ModelStore(folder).list("flight_delay")
    assert [str(each.tag) for each in listed] == [models.tag(card)]
    assert listed[0].info.labels["use_case"] == "flight_delay"
    assert not (folder / "flight_delay" / "latest").exists()
