"""Turn a fitted pipeline into files and back, without pickle and byte for byte reproducible.

XGBoost writes its trees in its own format; everything else goes through skops, which builds only scikit-learn's types
and the ones listed here.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import skops.io
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier, XGBRegressor

from esteira.calibration import Calibrated, uncalibrated
from esteira.errors import ModelError

PIPELINE = "pipeline.skops"
TREES = "trees.ubj"
ESTIMATOR = "estimator.json"

TRUSTED = (
    "esteira.calibration.Calibrated",
    "esteira.encoding.ColumnEncoder",
    "esteira.encoding.DenseEncoder",
    # A tree of histogram boosting: three arrays and no code of its own.
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
"""Types that may be built when a model is loaded, besides those of scikit-learn, numpy and scipy that skops knows."""

_BOOSTED = {"XGBClassifier": XGBClassifier, "XGBRegressor": XGBRegressor}
_WHERE_IT_RAN = {"n_jobs", "device", "verbosity"}
"""Parameters that say where a model was trained, not what it is: the same model has the same bytes."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def dump_pipeline(pipeline: Pipeline) -> dict[str, bytes]:
    """Write a fitted pipeline as file name -> bytes; equal pipelines give equal bytes.

    Raises ModelError when a part of it is of a type that would not be trusted when loaded, or is not fitted.
    """
    name, last = pipeline.steps[-1]
    final = uncalibrated(last)
    if type(final).__name__ not in _BOOSTED:
        return {PIPELINE: _dump_skops(pipeline)}
    parameters = {
        key: value
        for key, value in final.get_params().items()
        if value is not None and value == value and key not in _WHERE_IT_RAN  # noqa: PLR0124 - NaN is the default
    }
    try:
        described = json.dumps(
            {"class": type(final).__name__, "parameters": parameters, "calibration": _calibration(last)},
            sort_keys=True,
            indent=2,
        )
    except TypeError as error:
        raise ModelError(
            f"The parameters of step {name!r} cannot be written as JSON: {error}. "
            "Declare hyperparameters as numbers, text and lists of them; leave callbacks out."
        ) from error
    return {
        PIPELINE: _dump_skops(Pipeline([*pipeline.steps[:-1], (name, "passthrough")])),
        TREES: bytes(final.get_booster().save_raw("ubj")),
        ESTIMATOR: described.encode(),
    }


def build_pipeline(files: Mapping[str, bytes]) -> Pipeline:
    """Rebuild the pipeline that ``dump_pipeline`` wrote; verify the digests of ``files`` before.

    XGBoost predicts on one thread afterwards, because idle OpenMP threads spin beside a service's own.
    """
    try:
        pipeline = skops.io.loads(files[PIPELINE], trusted=list(TRUSTED))
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        raise _untrusted(error) from error
    if TREES in files:
        described = json.loads(files[ESTIMATOR])
        final = _BOOSTED[described["class"]](**described["parameters"], n_jobs=1)
        final.load_model(bytearray(files[TREES]))
        for learned in ("base_score", "booster"):  # XGBoost writes what it learned over these two hyperparameters
            setattr(final, learned, described["parameters"].get(learned))
        pipeline.steps[-1] = (pipeline.steps[-1][0], _calibrated(final, described["calibration"]))
    return pipeline


def _calibration(last: Any) -> dict[str, float] | None:
    if not isinstance(last, Calibrated):
        return None
    return {"newest_share": last.newest_share, "slope": last.slope_, "intercept": last.intercept_}


def _calibrated(final: Any, numbers: Mapping[str, float] | None) -> Any:
    if numbers is None:
        return final
    whole = Calibrated(final, numbers["newest_share"])
    whole.model_, whole.slope_, whole.intercept_ = final, numbers["slope"], numbers["intercept"]
    return whole


def _dump_skops(pipeline: Pipeline) -> bytes:
    written = skops.io.dumps(pipeline)
    unknown = sorted(set(skops.io.get_untrusted_types(data=written)) - set(TRUSTED))
    if unknown:
        raise _untrusted(unknown)
    return _without_addresses(written)


def _untrusted(what: object) -> ModelError:
    return ModelError(
        f"The pipeline holds types that are not trusted: {what}. Only scikit-learn's own and {', '.join(TRUSTED)} are. "
        "Build the pipeline from those, or read the type's source and add it to TRUSTED in "
        "stores/model_store/model_files.py."
    )


def _without_addresses(written: bytes) -> bytes:
    """Rewrite a skops archive without what differs between two processes: memory addresses and the clock."""
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        schema = json.loads(archive.read("schema.json"))
        names: dict[str, str] = {}
        _renumber(schema, {}, names, [0])
        contents = {new: archive.read(old) for old, new in names.items()}
    contents["schema.json"] = json.dumps(schema, indent=1).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), content)
    return target.getvalue()


def _renumber(node: Any, numbers: dict[int, int], names: dict[str, str], last: list[int]) -> None:
    if isinstance(node, list):
        for each in node:
            _renumber(each, numbers, names, last)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        # Whether two equal texts or numbers are one object is the interpreter's whim: each gets its own number.
        is_plain = node.get("__loader__") in {"JsonNode", "TypeNode"}
        address = node["__id__"]
        if is_plain or address not in numbers:
            last[0] += 1
            numbers[address] = last[0]
        node["__id__"] = numbers[address] if not is_plain else last[0]
    if isinstance(node.get("file"), str):
        suffix = node["file"].rpartition(".")[2]
        node["file"] = names.setdefault(node["file"], f"{len(names)}.{suffix}")
    for each in node.values():
        _renumber(each, numbers, names, last)
