"""Attention as one node. Texts are encoded one at a time, so nothing is ever masked.

The optimizer leaves the three projections apart where the exporter did; one product for all three is quicker, and
without a mask the nodes that make it go, too.
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
        told = {attribute.name for attribute in node.attribute}
        # a bias, earlier keys or positions in the node itself: another family, left as it is
        known = told <= {"num_heads", "scale", "mask_filter_value"} and not any((*node.input[3:5], *node.input[6:]))
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
        joined = helper.make_node(
            "Attention",
            [whole[0][0], *names],
            list(node.output),
            name=f"{node.name}/joined",
            domain="com.microsoft",
            **settings,
        )
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
