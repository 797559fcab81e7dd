"""A graph under construction: seeded or trained initializers, nodes whose outputs name themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17

Shape = Sequence[int | str]
Array = np.ndarray[Any, Any]
Weights = Mapping[str, Array]


class GraphBuilder:
    """Collects nodes and initializers. All randomness comes from `seed`, in the order of the calls.

    Where `weights` are given nothing is random: whatever has a name there is taken from them, in PyTorch's layout.
    """

    def __init__(self, name: str, seed: int, weights: Weights | None = None, opset: int = OPSET) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.weights = weights
        self.opset = opset
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

    def normal(self, *shape: int, scale: float, name: str = "") -> str:
        """Add a weight: independent normals of standard deviation `scale`, or the trained one of this name."""
        if self.weights is not None:
            return self.constant(self._trained(name, *shape))
        return self.constant(self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))

    def uniform(self, *shape: int, low: float, high: float, name: str = "") -> str:
        """Add a weight: uniform in [low, high), or the trained one of this name."""
        if self.weights is not None:
            return self.constant(self._trained(name, *shape))
        return self.constant(self.rng.uniform(low, high, shape))

    def node(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, a list of them for more than one."""
        names = [f"{op_type.lower()}{len(self.nodes)}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, **attributes))
        return names if outputs > 1 else names[0]

    def linear(
        self, x: str, inputs: int, outputs: int, scale: float | None = None, name: str = "", bias: bool = True
    ) -> str:
        """`x @ W + b` over the last axis; W is normal with standard deviation `scale`, 1 / sqrt(inputs) by default."""
        if self.weights is None:
            weight = self.normal(inputs, outputs, scale=scale or inputs**-0.5)
        else:
            weight = self.constant(self._trained(f"{name}.weight", outputs, inputs).T)
        product = self.node("MatMul", x, weight)
        return str(
            self.node("Add", product, self.normal(outputs, scale=0.02, name=f"{name}.bias")) if bias else product
        )

    def layer_norm(self, x: str, width: int, epsilon: float, name: str = "") -> str:
        """LayerNormalization over the last axis, with a scale near 1."""
        scale = self.uniform(width, low=0.75, high=1.25, name=f"{name}.weight")
        bias = self.normal(width, scale=0.1, name=f"{name}.bias")
        return str(self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon))

    def conv(
        self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1, bias: bool = False
    ) -> str:
        """Convolution, He-initialised, padded so that stride 1 keeps the size."""
        fan_in = inputs // group * kernel * kernel
        weights = [self.normal(outputs, inputs // group, kernel, kernel, scale=(2 / fan_in) ** 0.5)]
        if bias:
            weights.append(self.normal(outputs, scale=0.02))
        pads = [kernel // 2] * 4
        strides = [stride, stride]
        return str(
            self.node("Conv", x, *weights, kernel_shape=[kernel, kernel], strides=strides, pads=pads, group=group)
        )

    def conv_norm(
        self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1, epsilon: float = 1e-5
    ) -> str:
        """Convolution without bias, then batch normalisation whose statistics make a difference when it is folded."""
        y = self.conv(x, inputs, outputs, kernel, stride, group)
        scale, bias = self.uniform(outputs, low=0.75, high=1.25), self.normal(outputs, scale=0.1)
        mean, variance = self.normal(outputs, scale=0.1), self.uniform(outputs, low=0.75, high=1.25)
        return str(self.node("BatchNormalization", y, scale, bias, mean, variance, epsilon=epsilon))

    def silu(self, x: str) -> str:
        """`x * sigmoid(x)`, as exporters write it below opset 24."""
        return str(self.node("Mul", x, self.node("Sigmoid", x)))

    def model(self) -> onnx.ModelProto:
        """Return the model, checked."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(
            graph,
            producer_name="diptych tools.models",
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
        )
        onnx.checker.check_model(model)
        return model

    def _trained(self, name: str, *shape: int) -> Array:
        """The trained weight of this name; ValueError where there is none or its shape is another."""
        value = (self.weights or {}).get(name)
        if value is None or value.shape != shape:
            found = "none" if value is None else list(value.shape)
            raise ValueError(f"{self.name}: expected a weight {name!r} of shape {list(shape)}, found {found}")
        return value
