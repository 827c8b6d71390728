"""Int8 keeps what 32 bits say, large channels or not; attention becomes one node, the mask goes, norms stay nodes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from classifiers.encoder.prepare import prepare
from classifiers.encoder.quantise import quantise
from classifiers.encoder.session import MODEL, Graph
from classifiers.encoder.source import resolve

WINDOWS = [[1, 2, 3, 4], [5, 6, 7], [8, 9, 10, 11, 12]]


def loud() -> onnx.ModelProto:
    """An embedding, one channel fifty times the rest, a product, a non-linearity, a product."""
    chance = np.random.default_rng(0)
    table = chance.normal(0, 1, (16, 32)).astype(np.float32)
    volume = np.ones(32, np.float32)
    volume[3] = 50
    first = chance.normal(0, 1, (32, 32)).astype(np.float32)
    first[3] /= 50
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Mul", ["words", "volume"], ["loud"]),
        helper.make_node("MatMul", ["loud", "first"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["bent"]),
        helper.make_node("MatMul", ["bent", "second"], ["last_hidden_state"]),
    ]
    second = chance.normal(0, 1, (32, 32)).astype(np.float32)
    weights = {"table": table, "volume": volume, "first": first, "second": second}
    graph = helper.make_graph(
        nodes,
        "loud",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", 32])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def cosines(model: onnx.ModelProto, path: Path) -> list[float]:
    full, small = Graph(model.SerializeToString(), "mean"), Graph(path, "mean")
    return [float(full.run(window) @ small.run(window)) for window in WINDOWS]


def test_a_loud_channel_does_not_drown_the_rest(tmp_path: Path, saturates: bool) -> None:
    quantise(loud(), tmp_path / "even.onnx", WINDOWS)
    quantise(loud(), tmp_path / "plain.onnx", [])
    assert min(cosines(loud(), tmp_path / "even.onnx")) > (0.97 if saturates else 0.995)
    assert min(cosines(loud(), tmp_path / "even.onnx")) > min(cosines(loud(), tmp_path / "plain.onnx"))


def test_the_default_encoder_attends_in_one_node_and_needs_no_mask(prepared_dir: Path) -> None:
    model = onnx.load(prepare(resolve(None), prepared_dir) / MODEL)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QAttention") == 6
    assert "MultiHeadAttention" not in kinds
    assert "attention_mask" not in {given.name for given in model.graph.input}


def test_sums_and_norms_stay_apart_in_what_runs(
    prepared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "runs.onnx")
    monkeypatch.setattr(onnxruntime, "SessionOptions", lambda: options)
    Graph(prepare(resolve(None), prepared_dir) / MODEL, "mean")
    kinds = [node.op_type for node in onnx.load(tmp_path / "runs.onnx").graph.node]
    assert kinds.count("LayerNormalization") == 13
    assert "SkipLayerNormalization" not in kinds
