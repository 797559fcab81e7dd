"""A graph under construction: seeded initializers, nodes whose outputs name themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

Shape = Sequence[int | str]


class GraphBuilder:
    """Collects nodes and initializers. All randomness comes from `seed`, in the order of the calls."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, element_type: int = TensorProto.FLOAT) -> str:
        """Declare an input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, element_type, shape))
        return name

    def output(self, value: str, name: str, shape: Shape) -> None:
        """Declare `value` as the float output `name` of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Add an initializer with these values."""
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def normal(self, *shape: int, scale: float) -> str:
        """Add a weight: independent normals of standard deviation `scale`."""
        return self.constant(self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))

    def uniform(self, *shape: int, low: float, high: float) -> str:
        """Add a weight: uniform in [low, high)."""
        return self.constant(self.rng.uniform(low, high, shape))

    def node(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, a list of them for more than one."""
        names = [f"{op_type.lower()}{len(self.nodes)}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, **attributes))
        return names if outputs > 1 else names[0]

    def linear(self, x: str, inputs: int, outputs: int, scale: float | None = None) -> str:
        """`x @ W + b` over the last axis; W is normal with standard deviation `scale`, 1 / sqrt(inputs) by default."""
        product = self.node("MatMul", x, self.normal(inputs, outputs, scale=scale or inputs**-0.5))
        return str(self.node("Add", product, self.normal(outputs, scale=0.02)))

    def layer_norm(self, x: str, width: int, epsilon: float) -> str:
        """LayerNormalization over the last axis, with a scale near 1."""
        scale, bias = self.uniform(width, low=0.75, high=1.25), self.normal(width, scale=0.1)
        return str(self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon))

    def model(self) -> onnx.ModelProto:
        """Return the model, checked."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initializers)
        model = helper.make_model(
            graph,
            producer_name="diptych tools.models",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model)
        return model
