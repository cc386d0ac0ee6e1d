"""Write a fitted pipeline as one ONNX graph: untransformed features in, predictions within their bounds out.

Everything a model does is in the graph: encoding, trees or linear model, calibration, bounds. Only what the shipped
candidates are made of can be written; anything else is refused by name.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.pipeline import Pipeline

from esteira.calibration import Calibrated, uncalibrated
from esteira.encoding import ColumnEncoder, DenseEncoder
from esteira.errors import ModelError
from esteira.model_card import ModelCard

OUTPUT = "prediction"
_OPSETS = (helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3))
_IR_VERSION = 8
_IDENTITY = {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"}
_LEAF = -1
_MOST_SURE = 1e-7
"""As in calibration.py: odds are cut where a float32 probability has none."""


class _Graph:
    """Nodes and constants as they come; every method returns the name of the tensor it makes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, kind: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name


def write_onnx(pipeline: Pipeline, card: ModelCard) -> bytes:
    """The model as ONNX: one input of shape (n, 1) per column, float or text; one output (n, 1) named ``prediction``.

    A missing number is NaN; a missing word is any text that is no word of the vocabulary.

    Raises ModelError when a part of the pipeline cannot be written.
    """
    if len(pipeline.steps) != 2 or type(pipeline[0]) not in (ColumnEncoder, DenseEncoder):
        raise _cannot("steps", [type(step).__name__ for _, step in pipeline.steps])
    graph = _Graph()
    matrix = _encode(graph, pipeline[0])
    final = uncalibrated(pipeline[-1])
    output = _trees(graph, final, matrix) if hasattr(final, "get_booster") else _line(graph, final, matrix)
    if card.kind == "binary":
        output = graph.add("Sigmoid", _calibrate(graph, pipeline[-1], output))
    low, high = card.bounds
    output = graph.add("Clip", output, graph.constant(low), graph.constant(high))
    graph.nodes.append(helper.make_node("Identity", [output], [OUTPUT]))
    encoder = pipeline[0]
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.STRING if name in encoder.codes_ else TensorProto.FLOAT, [None, 1]
        )
        for name in encoder.columns_
    ]
    result = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])
    built = helper.make_model(
        helper.make_graph(graph.nodes, f"{card.use_case}:{card.version}", inputs, [result], graph.constants),
        opset_imports=_OPSETS,
        ir_version=_IR_VERSION,
        producer_name="esteira",
    )
    onnx.checker.check_model(built)
    return bytes(built.SerializeToString())


def _encode(graph: _Graph, encoder: ColumnEncoder) -> str:
    numbers = [name for name in encoder.columns_ if name not in encoder.codes_]
    if not isinstance(encoder, DenseEncoder):
        parts = [_rank(graph, name, encoder, np.nan) if name in encoder.codes_ else name for name in encoder.columns_]
        return graph.add("Concat", *parts, axis=1)
    words = [
        graph.add(
            "Cast",
            graph.add("Equal", _rank(graph, name, encoder, -1.0), graph.constant([list(codes.values())])),
            to=TensorProto.FLOAT,
        )
        for name, codes in encoder.codes_.items()
        if codes
    ]
    if not numbers:
        return graph.add("Concat", *words, axis=1)
    values = graph.add("Concat", *numbers, axis=1)
    absent = graph.add("IsNaN", values)
    centred = graph.add(
        "Div", graph.add("Sub", values, graph.constant(encoder.means_)), graph.constant(encoder.scales_)
    )
    scaled = graph.add("Where", absent, graph.constant(0.0), centred)
    picked = graph.add(
        "Gather", graph.add("Cast", absent, to=TensorProto.FLOAT), graph.constant(encoder.indicated_, np.int64), axis=1
    )
    return graph.add("Concat", *words, scaled, *([picked] if encoder.indicated_ else []), axis=1)


def _rank(graph: _Graph, name: str, encoder: ColumnEncoder, unknown: float) -> str:
    codes = encoder.codes_[name]
    if not codes:  # a column that was missing in every row has no word to know
        return graph.add(
            "LabelEncoder", name, domain="ai.onnx.ml", keys_strings=[""], values_floats=[unknown], default_float=unknown
        )
    return graph.add(
        "LabelEncoder", name, domain="ai.onnx.ml",
        keys_strings=list(codes), values_floats=list(codes.values()), default_float=unknown,
    )  # fmt: skip


def _line(graph: _Graph, final: Any, matrix: str) -> str:
    if not hasattr(final, "coef_"):
        raise _cannot("final step", type(final).__name__)
    weights = np.atleast_2d(final.coef_).T
    if weights.shape[1] != 1:
        raise _cannot("number of outputs", weights.shape[1])
    return graph.add(
        "Add", graph.add("MatMul", matrix, graph.constant(weights)), graph.constant(np.ravel(final.intercept_))
    )


def _trees(graph: _Graph, final: Any, matrix: str) -> str:
    learner = json.loads(bytes(final.get_booster().save_raw("json")))["learner"]
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    if booster["name"] != "gbtree" or objective not in {"binary:logistic", *_IDENTITY}:
        raise _cannot("booster and objective", (booster["name"], objective))
    base = float(json.loads(learner["learner_model_param"]["base_score"])[0])
    base = float(np.log(base) - np.log1p(-base)) if objective == "binary:logistic" else base
    return graph.add(
        "TreeEnsembleRegressor", matrix, domain="ai.onnx.ml",
        n_targets=1, base_values=[base], aggregate_function="SUM", post_transform="NONE",
        **_nodes(booster["model"]["trees"]),
    )  # fmt: skip


def _nodes(trees: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """XGBoost's trees in ONNX's flat lists: a value below the threshold, or missing and so told, goes left."""
    found: dict[str, list[Any]] = {
        name: []
        for name in (
            "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids",
            "nodes_falsenodeids", "nodes_missing_value_tracks_true", "target_treeids", "target_nodeids", "target_ids",
            "target_weights",
        )
    }  # fmt: skip
    for number, tree in enumerate(trees):
        for node, left in enumerate(tree["left_children"]):
            is_leaf = left == _LEAF
            row = {
                "nodes_treeids": number, "nodes_nodeids": node, "nodes_featureids": tree["split_indices"][node],
                "nodes_values": 0.0 if is_leaf else tree["split_conditions"][node],
                "nodes_modes": "LEAF" if is_leaf else "BRANCH_LT",
                "nodes_truenodeids": 0 if is_leaf else left,
                "nodes_falsenodeids": 0 if is_leaf else tree["right_children"][node],
                "nodes_missing_value_tracks_true": tree["default_left"][node],
            }  # fmt: skip
            if is_leaf:  # a leaf's value stands where a branch has its threshold
                row |= {
                    "target_treeids": number, "target_nodeids": node, "target_ids": 0,
                    "target_weights": tree["split_conditions"][node],
                }  # fmt: skip
            for name, value in row.items():
                found[name].append(value)
    return found


def _calibrate(graph: _Graph, last: Any, odds: str) -> str:
    if not isinstance(last, Calibrated):
        return odds
    most = float(np.log1p(-_MOST_SURE) - np.log(_MOST_SURE))
    sure = graph.add("Clip", odds, graph.constant(-most), graph.constant(most))
    return graph.add("Add", graph.add("Mul", sure, graph.constant(last.slope_)), graph.constant(last.intercept_))


def _cannot(what: str, found: object) -> ModelError:
    return ModelError(
        f"The model cannot be written as ONNX: its {what}: {found}. Expected an encoder of encoding.py, then gradient-"
        "boosted trees or a linear model, calibrated or not. Choose another form, or extend training/onnx_graph.py."
    )
