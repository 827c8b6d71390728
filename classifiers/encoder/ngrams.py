"""Tokens and pairs of neighbours with a weight for each class, as an encoder: one look-up, no transformer.

A text's vector is (scores, FAR) scaled to length 1. FAR is large beside any score, so that a linear head reads the
scores off again, and the mean of several windows is hardly shorter than they are. The scores are those of a linear
classifier on tf-idf of length 1.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import data
from classifiers.encoder.prepare import describe
from classifiers.encoder.session import MODEL, TOKENIZER, Graph
from classifiers.encoder.tokens import Tokens
from classifiers.model.model import Floats

FAR = 300.0

_OPSET, _ML_OPSET, _IR = 17, 3, 9

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NGrams:
    """keys: (features,) ascending, as of `keys_of`; base: of the keys; weights: (features, classes) in float32, the
    inverse document frequency among them; rarity: (features,) that frequency alone; bias: (classes,)."""

    keys: Keys
    base: int
    weights: Floats
    rarity: Floats
    bias: Floats


def keys_of(ids: Sequence[int], base: int) -> Keys:
    """A window's features: its ids, then its pairs of neighbours as (first + 1) * base + second. ids: special ones
    included; base: above every id."""
    tokens = np.asarray(ids, np.int64)
    return np.concatenate([tokens, (tokens[:-1] + 1) * base + tokens[1:]])


def vectors_of(scores: Floats) -> Floats:
    """What the graph makes of windows: (windows, classes + 1) of length 1. scores: (windows, classes)."""
    wide = np.concatenate([scores, np.full((len(scores), 1), FAR, np.float32)], axis=1)
    unit: Floats = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return unit


def write(ngrams: NGrams, folder: Path, *, tokenizer: Path, name: str, max_tokens: int) -> None:
    """Write an encoder's folder as `encoder.prepare` does; the folder exists and is empty. tokenizer: the
    tokenizer.json that the keys are of, copied. name: the source that the encoder goes by."""
    import onnx

    shutil.copyfile(tokenizer, folder / TOKENIZER)
    onnx.save(_graph(ngrams), folder / MODEL)
    describe(folder, Graph(folder / MODEL, "mean"), Tokens.open(folder / TOKENIZER), name, max_tokens)


def _constants(ngrams: NGrams) -> dict[str, Any]:
    """Row 0 of each table is that of a feature that is not known: it weighs nothing."""
    steps = np.maximum(np.abs(ngrams.weights).max(axis=1, keepdims=True), 1e-12) / 127
    table = np.vstack([np.zeros((1, len(ngrams.bias))), np.round(ngrams.weights / steps)]).astype(np.int8)
    return {
        "table": table,
        "steps": np.vstack([np.zeros((1, 1)), steps]).astype(np.float32),
        "squares": np.append(0, ngrams.rarity**2).astype(np.float32)[:, None],
        "bias": ngrams.bias.astype(np.float32),
        "base": np.int64(ngrams.base),
        "one": np.int64(1),
        "least": np.float32(1e-12),
        "far": np.full((1, 1, 1), FAR, np.float32),
        "begin": np.array([0]),
        "second": np.array([1]),
        "but_last": np.array([-1]),
        "end": np.array([np.iinfo(np.int64).max]),
        "along": np.array([1]),
    }


def _graph(ngrams: NGrams) -> Any:
    from onnx import TensorProto, checker, helper, numpy_helper

    lookup = {
        "domain": "ai.onnx.ml",
        "keys_int64s": ngrams.keys.tolist(),
        "values_int64s": list(range(1, len(ngrams.keys) + 1)),
        "default_int64": 0,
    }
    nodes = []
    # an output, its operator, inputs, and attributes; type 1 is float32
    for line in data.table("graphs.json")["ngrams"]:
        output, _, operator, *names = line.split()
        inputs = [name for name in names if "=" not in name]
        attributes = {key: int(value) for key, value in (name.split("=") for name in names if "=" in name)}
        nodes.append(
            helper.make_node(operator, inputs, [output], **(lookup if operator == "LabelEncoder" else attributes))
        )
    graph = helper.make_graph(
        nodes,
        "ngrams",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, 1, len(ngrams.bias) + 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _constants(ngrams).items()],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="offramp")
    checker.check_model(model)
    return model
