"""Run an encoder's ONNX graph: token ids in, one pooled vector of length 1 out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.encoder.source import Pooling
from classifiers.errors import EncoderError
from classifiers.model import Floats

_SLOWER = ["SkipLayerNormFusion"]
"""Joins a sum and the norm after it, which then take 0.14 instead of 0.02 ms for 32 tokens of 768 numbers
(ONNX Runtime 1.32, one thread)."""

_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class Graph:
    """An ONNX Runtime session on one thread. Safe to call from several threads at once.

    model: the graph's file or its bytes (weights included).
    """

    def __init__(self, model: Path | bytes, pooling: Pooling) -> None:
        """Raises EncoderError where ONNX Runtime cannot load the graph or its inputs are not BERT's."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # an arena keeps the largest window's memory for good; sizes vary little here, and calls are frequent
        options.enable_cpu_mem_arena = True
        what = str(model) if isinstance(model, Path) else "the encoder's graph"
        try:
            session = onnxruntime.InferenceSession(
                str(model) if isinstance(model, Path) else model,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_SLOWER,
            )
        except Exception as error:  # ONNX Runtime raises classes of its own that it does not publish
            raise EncoderError(f"{what} cannot be loaded: {error}") from error
        self._session: Any = session
        self._pooling = pooling
        self._output = session.get_outputs()[0].name
        self._inputs = {given.name: _INTEGERS.get(given.type) for given in session.get_inputs()}
        unknown = set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown or "input_ids" not in self._inputs or None in self._inputs.values():
            raise EncoderError(f"{what} takes {sorted(self._inputs)}; a BERT-like encoder takes integer input_ids")

    def run(self, ids: Sequence[int]) -> Floats:
        """ids: special tokens included → (dimensions,) float32 of length 1.

        One text at a time: int8 ranges are set over a whole batch, so neighbours would change the answer.
        """
        return self.states(ids)[0]

    def states(self, ids: Sequence[int]) -> tuple[Floats, Floats]:
        """The same vector, and the hidden states (tokens, dimensions) that it is pooled from."""
        hidden = self.tensors([self._output], ids)[0][0]
        pooled = hidden.mean(axis=0) if self._pooling == "mean" else hidden[0 if self._pooling == "cls" else -1]
        unit: Floats = (pooled / max(float(np.linalg.norm(pooled)), 1e-12)).astype(np.float32, copy=False)
        return unit, hidden

    def tensors(self, names: Sequence[str], ids: Sequence[int]) -> list[Floats]:
        """The graph's outputs of these names, as they come, for one window of ids."""
        shape = (1, len(ids))
        values = {
            "input_ids": np.asarray(ids).reshape(shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        feed = {name: values[name].astype(kind, copy=False) for name, kind in self._inputs.items()}
        found: list[Floats] = self._session.run(list(names), feed)
        return found
