"""Portable copies of a model, for places where Esteira is not: written only after they answered as the model does."""

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import xgboost

from esteira.calibration import uncalibrated
from esteira.encoding import ColumnEncoder
from esteira.errors import InputError, ModelError, UnknownName
from esteira.model_card import GOLDEN
from esteira.stores.model_store.model_files import ESTIMATOR
from esteira.stores.model_store.models import Model, tag
from esteira.training.golden import Golden
from esteira.training.onnx_graph import OUTPUT, write_onnx

Format = Literal["onnx", "xgb-json"]
TOLERANCE = 1e-5
"""How far an answer of the copy may lie from the model's: 32-bit sums in another order differ by about 1e-7."""
_ONNX, _TREES, _ENCODING = "model.onnx", "trees.json", "encoding.json"


def export(model: Model, form: Format, folder: Path) -> Path:
    """Write the model as ``form`` into a new folder under ``folder``, with a README and its golden rows; return it.

    The folder appears whole or not at all. Raises InputError when it exists, ModelError when the model cannot be
    written in this form or the copy answers its golden rows otherwise.
    """
    target = folder / f"{model.card.use_case}-{model.card.version}-{form}"
    if target.exists():
        raise InputError(f"{target} exists already. Remove it, or choose another folder.")
    golden = Golden.model_validate_json(model.attachments[GOLDEN])
    build, answer = _FORMS[form]
    files = build(model)
    off = float(np.abs(answer(files, golden.values) - np.array(golden.predictions)).max())
    if not off <= TOLERANCE:
        raise ModelError(
            f"The {form} copy of {tag(model.card)} answers its golden rows otherwise, by up to {off:.2g}; at most "
            f"{TOLERANCE:g} is expected. Nothing was written. Export it in another form, and report this."
        )
    readme = _README[form].format(tag=tag(model.card), rows=len(golden.predictions), off=off, rules=_rules(model))
    files = {**files, GOLDEN: model.attachments[GOLDEN], "README.md": readme.encode()}
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{target.name}.{uuid.uuid4().hex}"
    staged.mkdir()
    try:
        for name, content in files.items():
            (staged / name).write_bytes(content)
        staged.rename(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return target


def known_form(name: str) -> Format:
    """The form of this name. Raises UnknownName."""
    for form in _FORMS:
        if form == name:
            return form
    raise UnknownName.among("format", name, _FORMS, "Each has a README beside the file.")


def _build_onnx(model: Model) -> dict[str, bytes]:
    return {_ONNX: write_onnx(model.pipeline, model.card)}


def _answer_onnx(files: Mapping[str, bytes], values: Mapping[str, list[Any]]) -> Any:
    session = onnxruntime.InferenceSession(files[_ONNX], providers=["CPUExecutionProvider"])
    feeds = {}
    for each in session.get_inputs():
        column = values[each.name]
        if each.type == "tensor(string)":
            feeds[each.name] = np.array([[word or ""] for word in column], dtype=object)
        else:
            feeds[each.name] = np.array([[number] for number in column], dtype=np.float32)  # None becomes NaN
    return session.run([OUTPUT], feeds)[0][:, 0].astype(np.float64)


def _build_xgb_json(model: Model) -> dict[str, bytes]:
    encoder, final = model.pipeline[0], uncalibrated(model.pipeline[-1])
    if type(encoder) is not ColumnEncoder or not hasattr(final, "get_booster") or len(model.pipeline.steps) != 2:
        raise ModelError(
            f"{tag(model.card)} is no gradient-boosted model ({model.card.candidate}), so it has no XGBoost file. "
            "Export it as onnx."
        )
    described = json.loads((model.path / ESTIMATOR).read_bytes())
    encoding = {
        "columns": encoder.columns_,
        "words": {name: list(codes) for name, codes in encoder.codes_.items()},
        "calibration": described["calibration"],
        "bounds": list(model.card.bounds),
    }
    return {_TREES: bytes(final.get_booster().save_raw("json")), _ENCODING: json.dumps(encoding, indent=1).encode()}


def _answer_xgb_json(files: Mapping[str, bytes], values: Mapping[str, list[Any]]) -> Any:
    encoding = json.loads(files[_ENCODING])
    words = {name: {word: rank for rank, word in enumerate(known)} for name, known in encoding["words"].items()}
    columns = [
        [words[name].get(value, np.nan) if name in words else value for value in values[name]]
        for name in encoding["columns"]
    ]
    booster = xgboost.Booster(model_file=bytearray(files[_TREES]))
    booster.set_param({"nthread": 1})
    found = booster.inplace_predict(np.array(columns, dtype=np.float32).T).astype(np.float64)
    if encoding["calibration"]:
        odds = np.log(found) - np.log1p(-found)
        found = 1 / (1 + np.exp(-(encoding["calibration"]["slope"] * odds + encoding["calibration"]["intercept"])))
    return np.clip(found, *encoding["bounds"])


_FORMS: Mapping[Format, tuple[Callable[[Model], dict[str, bytes]], Callable[..., Any]]] = {
    "onnx": (_build_onnx, _answer_onnx),
    "xgb-json": (_build_xgb_json, _answer_xgb_json),
}


def _rules(model: Model) -> str:
    if not model.card.rules:
        return "Bounds are applied; the model has no further rules."
    names = ", ".join(each.name for each in model.card.rules)
    return f"Bounds are applied; the rules {names}, which the service applies after them, are not part of this copy."


_README: Mapping[Format, str] = {
    "onnx": """# {tag} as ONNX

`model.onnx` takes untransformed features, one input of shape (n, 1) each: numbers as float with NaN where missing,
words as text with any unknown text (such as the empty one) where missing. It answers `prediction`, shape (n, 1).
{rules}

The {rows} golden rows in `golden.json` are answered as the service's model does, within {off:.1g}:

```python
import json
from pathlib import Path
import numpy as np
import onnxruntime

golden = json.loads(Path("golden.json").read_text())
session = onnxruntime.InferenceSession("model.onnx")
feeds = {{}}
for each in session.get_inputs():
    is_text = each.type == "tensor(string)"
    missing = "" if is_text else np.nan
    column = [[missing if value is None else value] for value in golden["values"][each.name]]
    feeds[each.name] = np.array(column, dtype=object if is_text else np.float32)
predictions = session.run(["prediction"], feeds)[0][:, 0]
assert np.abs(predictions - golden["predictions"]).max() < 1e-5
```
""",
    "xgb-json": """# {tag} as XGBoost JSON

`trees.json` is the booster, for any of XGBoost's languages. It takes a matrix of 32-bit floats, one column for each
name of `columns` in `encoding.json`, in that order: numbers as they are; a word as its place in `words`, counted from
0; missing and unknown as NaN. {rules} Calibration, if any, stretches and shifts the log-odds before the bounds.

The {rows} golden rows in `golden.json` are answered as the service's model does, within {off:.1g}:

```python
import json
from pathlib import Path
import numpy as np
import xgboost

golden, encoding = (json.loads(Path(name).read_text()) for name in ("golden.json", "encoding.json"))
matrix = np.full((len(golden["predictions"]), len(encoding["columns"])), np.nan, dtype=np.float32)
for place, name in enumerate(encoding["columns"]):
    words = encoding["words"].get(name)
    for row, value in enumerate(golden["values"][name]):
        if words is None and value is not None:
            matrix[row, place] = value
        elif words is not None and value in words:
            matrix[row, place] = words.index(value)
predictions = xgboost.Booster(model_file="trees.json").inplace_predict(matrix).astype(float)
if encoding["calibration"]:
    odds = np.log(predictions) - np.log1p(-predictions)
    odds = encoding["calibration"]["slope"] * odds + encoding["calibration"]["intercept"]
    predictions = 1 / (1 + np.exp(-odds))
predictions = np.clip(predictions, *encoding["bounds"])
assert np.abs(predictions - golden["predictions"]).max() < 1e-5
```
""",
}
