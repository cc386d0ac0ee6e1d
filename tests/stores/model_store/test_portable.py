"""Every portable copy answers as the model does: on golden rows, and on rows nobody thought of."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

from esteira.encoding import ColumnEncoder
from esteira.errors import InputError, ModelError
from esteira.model_card import GOLDEN, ModelCard
from esteira.serving.predictor import Predictor
from esteira.stores.model_store import models
from esteira.stores.model_store.portable import TOLERANCE, _answer_onnx, _answer_xgb_json, export
from esteira.training.golden import Golden
from tests.serving import models as small
from tests.serving.test_predictor import values

pytestmark = pytest.mark.usefixtures("home")
WIDE = (0.0, 1.0)


def regression_pipeline() -> Pipeline:
    trees = XGBRegressor(n_estimators=15, max_depth=3, n_jobs=1, objective="reg:absoluteerror")
    return Pipeline([("encode", ColumnEncoder()), ("model", trees)]).fit(small.frame(), small._outcome() * 60.0)


def stored(pipeline: Pipeline, **changed: Any) -> models.Model:
    facts = {"version": models.name_version(pipeline, small.card().as_of), "bounds": WIDE, **changed}
    card: ModelCard = small.card(**facts)
    rows = {name: column[:32] for name, column in values().items()}
    answers = Predictor(card, pipeline).predict(rows)
    answers = answers if isinstance(answers, np.ndarray) else np.array(answers)
    golden = Golden(values=rows, predictions=np.clip(answers, *card.bounds).tolist())
    saved = models.save(pipeline, card, {GOLDEN: golden.model_dump_json().encode()})
    return models.load(saved.use_case, saved.version)


CASES = {
    "trees": (small.xgboost_pipeline, {}),
    "narrow": (small.xgboost_pipeline, {"bounds": (0.3, 0.6)}),
    "calibrated trees": (small.calibrated_pipeline, {}),
    "logistic": (small.logistic_pipeline, {}),
    "regression trees": (regression_pipeline, {"kind": "regression", "bounds": (-100.0, 500.0)}),
    "line": (small.linear_pipeline, {"kind": "regression", "bounds": (-100.0, 500.0)}),
}
ANSWER = {"onnx": _answer_onnx, "xgb-json": _answer_xgb_json}


@pytest.mark.parametrize(
    ("form", "case"),
    [(form, case) for form in ANSWER for case in CASES if form == "onnx" or case not in {"logistic", "line"}],
)
def test_a_copy_answers_fresh_rows_as_the_model_and_its_readme_says_how(form: Any, case: str, tmp_path: Path) -> None:
    build, changed = CASES[case]
    model = stored(build(), **changed)
    folder = export(model, form, tmp_path / "out")
    files = {each.name: each.read_bytes() for each in folder.iterdir()}
    unseen = {
        **values(),
        "origin": ["XXX" if place % 7 == 0 else word for place, word in enumerate(values()["origin"])],
    }
    expected = np.clip(np.asarray(Predictor(model.card, model.pipeline).predict(unseen)), *model.card.bounds)
    np.testing.assert_allclose(ANSWER[form](files, unseen), expected, rtol=1e-5, atol=TOLERANCE)
    (snippet,) = re.findall(r"```python\n(.*?)```", files["README.md"].decode(), re.DOTALL)
    before = Path.cwd()
    try:
        os.chdir(folder)
        exec(snippet, {})
    finally:
        os.chdir(before)


def test_a_model_without_trees_has_no_xgboost_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Export it as onnx"):
        export(stored(small.logistic_pipeline()), "xgb-json", tmp_path)
    assert not list(tmp_path.glob("*xgb*"))


def test_a_copy_that_would_answer_otherwise_is_not_written(tmp_path: Path) -> None:
    model = stored(small.xgboost_pipeline())
    golden = Golden.model_validate_json(model.attachments[GOLDEN])
    spoiled = golden.model_copy(update={"predictions": [0.987, *golden.predictions[1:]]})
    model.attachments[GOLDEN] = spoiled.model_dump_json().encode()  # type: ignore[index]
    with pytest.raises(ModelError, match="answers its golden rows otherwise, by up to"):
        export(model, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    model = stored(small.xgboost_pipeline())
    export(model, "onnx", tmp_path)
    with pytest.raises(InputError, match="exists already"):
        export(model, "onnx", tmp_path)


def test_a_pipeline_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    model = stored(small.xgboost_pipeline())
    model.pipeline.steps.insert(1, ("scale", StandardScaler()))
    with pytest.raises(ModelError, match="StandardScaler"):
        export(model, "onnx", tmp_path)
