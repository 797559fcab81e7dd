"""Small models that the API tests run."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

FLOAT = TensorProto.FLOAT


def build(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
    opset: int = 17,
) -> bytes:
    """Serialise a model."""
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, {"purpose": "test"})
    return bytes(model.SerializeToString())


def unary(op_type: str, shape: Sequence[int | str | None] | None, element: int = FLOAT) -> bytes:
    """Build a model of one operator from `x` to `y`; the output's shape is left open."""
    x = helper.make_tensor_value_info("x", element, shape)
    y = helper.make_tensor_value_info("y", element, None)
    return build([helper.make_node(op_type, ["x"], ["y"])], [x], [y])


def add_default(shape: Sequence[int]) -> bytes:
    """`y = x + w`, where `w` has a default of ones."""
    size = 1
    for n in shape:
        size *= n
    infos = [helper.make_tensor_value_info(name, FLOAT, shape) for name in ("x", "w", "y")]
    w = helper.make_tensor("w", FLOAT, shape, [1.0] * size)
    return build([helper.make_node("Add", ["x", "w"], ["y"])], infos[:2], infos[2:], [w])
