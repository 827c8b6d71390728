"""Attention as one node of a graph. Texts are encoded one at a time, so nothing is ever masked.

`join` makes one product of the three projections that the optimizer leaves apart. `fuse` takes attention whose scores
are biased by relative positions (MPNet's), which the optimizer does not know: the bias is summed once for all layers
that add the same. Only the time changes.
"""

from typing import Any

import numpy as np

_PROJECTIONS = 3


def join(model: Any) -> None:
    """Replace each MultiHeadAttention whose query, key and value are products of one tensor. Changes the ModelProto."""
    from onnx import helper, numpy_helper

    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "MultiHeadAttention"]:
        parts = [_projection(made_by.get(name), made_by, tensors) for name in node.input[:_PROJECTIONS]]
        attributes = {attribute.name for attribute in node.attribute}
        # a bias, earlier keys or positions in the node itself: another family, left as it is
        known = attributes <= {"num_heads", "scale", "mask_filter_value"} and not any(
            (*node.input[3:5], *node.input[6:])
        )
        if not known or None in parts or len({part[0] for part in parts if part}) != 1:
            continue
        whole = [part for part in parts if part]
        names = (f"{node.name}/weights", f"{node.name}/bias")
        matrix = np.concatenate([numpy_helper.to_array(tensors[part[1]]) for part in whole], axis=1)
        bias = np.concatenate([numpy_helper.to_array(tensors[part[2]]) for part in whole])
        graph.initializer.extend([numpy_helper.from_array(matrix, names[0]), numpy_helper.from_array(bias, names[1])])
        settings = {
            attribute.name: helper.get_attribute_value(attribute)
            for attribute in node.attribute
            if attribute.name in {"num_heads", "scale"}
        }
        settings |= {"name": f"{node.name}/joined", "domain": "com.microsoft"}
        joined = helper.make_node("Attention", [whole[0][0], *names], list(node.output), **settings)
        graph.node.insert(list(graph.node).index(node), joined)
        graph.node.remove(node)
    prune(graph)


def _projection(node: Any, made_by: dict[str, Any], tensors: dict[str, Any]) -> tuple[str, str, str] | None:
    """What `tensor @ weights + bias` reads, as those three names; None for anything else."""
    if node is None or node.op_type != "Add":
        return None
    bias = [name for name in node.input if name in tensors]
    product = [made_by[name] for name in node.input if name in made_by]
    if len(bias) != 1 or len(product) != 1 or product[0].op_type != "MatMul" or product[0].input[1] not in tensors:
        return None
    return product[0].input[0], product[0].input[1], bias[0]


def prune(graph: Any) -> None:
    """Take out what nothing reads any more, the inputs of the graph included."""
    while True:
        used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        idle = [node for node in graph.node if not used.intersection(node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    for held in (graph.initializer, graph.input):
        for unused in [item for item in held if item.name not in used]:
            held.remove(unused)


_BY_HEAD, _KEYS = [0, 2, 1, 3], [0, 2, 3, 1]
"""How the exporter turns (batch, tokens, heads, width): queries, values and what comes out, and keys."""


def fuse(model: Any, heads: int) -> None:
    """Replace the nodes around each softmax of scores to which something is added. Changes the ModelProto. heads: of
    the transformer; 0 where that is not known, and nothing changes."""
    from onnx import helper

    if not heads:
        return
    graph, links = model.graph, _Links(model.graph)
    sums: dict[tuple[str, ...], str] = {}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        attention = _around(softmax, links)
        if attention is None:
            continue
        inputs, added, scale, output = attention
        nodes = []
        if added not in sums:
            total, *others = added
            for place, other in enumerate(others):
                nodes.append(helper.make_node("Add", [total, other], [f"{softmax.name}/added_{place}"]))
                total = nodes[-1].output[0]
            sums[added] = total
        settings: dict[str, Any] = {
            "name": f"{softmax.name}/fused",
            "domain": "com.microsoft",
            "num_heads": heads,
            "scale": scale,
        }
        nodes.append(helper.make_node("MultiHeadAttention", [*inputs, "", "", sums[added]], [output], **settings))
        replaced = links.maker[output]
        place = list(graph.node).index(replaced)
        graph.node.remove(replaced)
        for node in reversed(nodes):
            graph.node.insert(place, node)
    if sums:
        prune(graph)


class _Links:
    """Which node makes a tensor, which read it, and which are constant."""

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


def _around(softmax: Any, links: _Links) -> tuple[list[str], tuple[str, ...], float, str] | None:
    """Query, key and value (batch, tokens, dimensions); what is added to the scores; their scale; the tensor that the
    attention makes. None where the nodes around the softmax are others."""
    added: list[str] = []
    total = softmax.input[0]
    while (node := links.made(total, "Add")) is not None:
        scored = [name for name in node.input if links.made(name, "Div") or links.made(name, "Add")]
        if not scored:
            return None
        total = scored[0]
        added += [name for name in node.input if name != total]
    divided = links.made(total, "Div")
    scores = divided and links.made(divided.input[0], "MatMul")
    mixed = links.read(softmax.output[0], "MatMul")
    turned = mixed and links.read(mixed.output[0], "Transpose")
    joined = turned and links.read(turned.output[0], "Reshape")
    if not (added and scores and joined) or divided.input[1] not in links.constants:
        return None
    parts = (scores.input[0], _BY_HEAD), (scores.input[1], _KEYS), (mixed.input[1], _BY_HEAD)
    inputs = [whole for name, order in parts if (whole := links.flat(name, order)) is not None]
    if len(inputs) < len(parts) or list(turned.attribute[0].ints) != _BY_HEAD:
        return None
    scale = 1 / float(np.asarray(links.constants[divided.input[1]]).reshape(()))
    return inputs, tuple(sorted(added)), scale, joined.output[0]
