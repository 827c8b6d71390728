"""Attention whose scores are biased by relative positions (MPNet's) as one node.

The optimizer knows BERT's attention, where scores are only masked. Here whatever is added to the scores, bias and
mask alike, is summed once and serves all layers that add the same; so nothing changes but the time it takes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from classifiers.encoder.attention import prune

_BY_HEAD, _KEYS = [0, 2, 1, 3], [0, 2, 3, 1]
"""How the exporter turns (batch, tokens, heads, width): queries, values and what comes out, and keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attention:
    """query, key, value: tensors (batch, tokens, dimensions); added: what is added to the scores; output: the tensor
    that the attention makes, (batch, tokens, dimensions)."""

    query: str
    key: str
    value: str
    added: tuple[str, ...]
    scale: float
    output: str


def fuse(model: Any, heads: int) -> None:
    """Replace the nodes around each softmax of scores to which something is added. Changes the ModelProto.

    heads: of the transformer; 0 where that is not known, and nothing changes.
    """
    from onnx import helper

    if not heads:
        return
    graph, found = model.graph, _Found(model.graph)
    sums: dict[tuple[str, ...], str] = {}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        attention = _around(softmax, found)
        if attention is None:
            continue
        nodes = []
        if attention.added not in sums:
            total, *others = attention.added
            for place, other in enumerate(others):
                nodes.append(helper.make_node("Add", [total, other], [f"{softmax.name}/added_{place}"]))
                total = nodes[-1].output[0]
            sums[attention.added] = total
        nodes.append(
            helper.make_node(
                "MultiHeadAttention",
                [attention.query, attention.key, attention.value, "", "", sums[attention.added]],
                [attention.output],
                name=f"{softmax.name}/fused",
                domain="com.microsoft",
                num_heads=heads,
                scale=attention.scale,
            )
        )
        replaced = found.maker[attention.output]
        place = list(graph.node).index(replaced)
        graph.node.remove(replaced)
        for node in reversed(nodes):
            graph.node.insert(place, node)
    if sums:
        prune(graph)


class _Found:
    """Who makes a tensor, and which are constant."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self.maker = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def made(self, name: str, kind: str) -> Any:
        """The node of that kind which makes the tensor, or None."""
        node = self.maker.get(name)
        return node if node is not None and node.op_type == kind else None

    def read(self, name: str, kind: str) -> Any:
        """The one node that reads the tensor, if it is of that kind, or None."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and readers[0].op_type == kind else None

    def flat(self, name: str, turned: list[int]) -> str | None:
        """The tensor (batch, tokens, dimensions) that was parted into heads and turned so."""
        turn = self.made(name, "Transpose")
        if turn is None or list(turn.attribute[0].ints) != turned:
            return None
        shape = self.made(turn.input[0], "Reshape")
        return None if shape is None else str(shape.input[0])


def _around(softmax: Any, found: _Found) -> _Attention | None:
    added: list[str] = []
    total = softmax.input[0]
    while (node := found.made(total, "Add")) is not None:
        scored = [name for name in node.input if found.made(name, "Div") or found.made(name, "Add")]
        if not scored:
            return None
        total = scored[0]
        added += [name for name in node.input if name != total]
    divided = found.made(total, "Div")
    scores = divided and found.made(divided.input[0], "MatMul")
    mixed = found.read(softmax.output[0], "MatMul")
    turned = mixed and found.read(mixed.output[0], "Transpose")
    joined = turned and found.read(turned.output[0], "Reshape")
    if not (added and scores and joined) or divided.input[1] not in found.constants:
        return None
    query, key = found.flat(scores.input[0], _BY_HEAD), found.flat(scores.input[1], _KEYS)
    value = found.flat(mixed.input[1], _BY_HEAD)
    if query is None or key is None or value is None or list(turned.attribute[0].ints) != _BY_HEAD:
        return None
    scale = 1 / float(np.asarray(found.constants[divided.input[1]]).reshape(()))
    return _Attention(
        query=query, key=key, value=value, added=tuple(sorted(added)), scale=scale, output=joined.output[0]
    )
