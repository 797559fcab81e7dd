"""Models that the tests of reduction shrink."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def model_of(
    nodes: list[Any], inputs: dict[str, Any], outputs: list[str], constants: dict[str, Any] | None = None, **more: Any
) -> ModelProto:
    """A model of opset 17; `inputs` maps names to shapes of float tensors."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)


def chain(length: int, relu: int, *, rows: int | str = 3, width: int = 13) -> tuple[ModelProto, dict[str, Any]]:
    """MatMul, Add, Tanh, over and over, `length` nodes; node number `relu` is a Relu, the only one."""
    nodes, constants, last = [], {}, "x"
    draw = rng()
    for i in range(length):
        kind, out = ("MatMul", "Add", "Tanh")[i % 3] if i != relu else "Relu", f"t{i}"
        inputs = [last]
        if kind in ("MatMul", "Add"):
            shape = (width, width) if kind == "MatMul" else (width,)
            constants[f"w{i}"] = draw.standard_normal(shape).astype(np.float32)
            inputs.append(f"w{i}")
        nodes.append(helper.make_node(kind, inputs, [out], name=f"node_{i}", doc_string="documented"))
        last = out
    model = model_of(nodes, {"x": [rows, width]}, [last], constants)
    return model, {"x": draw.standard_normal((3 if isinstance(rows, str) else rows, width)).astype(np.float32)}


def body_of(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> GraphProto:
    return helper.make_graph(nodes, "body", inputs, outputs)
