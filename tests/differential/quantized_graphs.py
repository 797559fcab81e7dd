"""Small quantized models, and what both panels make of them, for the tests of lowering."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import diptych
import diptych_reference
from diptych.compare import compare

OPSET = 21
S = np.float32(0.02)  # scale of activations


class Build:
    """A model in the making: `x` is quantized with scale 0.02 and zero point 128, `w` is int8 with scale 0.01."""

    def __init__(self, opset: int = OPSET) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, tuple[int, list[int] | None]] = {}
        self.outputs: list[str] = []
        self.functions: list[onnx.FunctionProto] = []

    def node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node named as its output."""
        self.nodes.append(helper.make_node(op_type, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """An initializer."""
        self.constants[name] = np.asarray(value)
        return name

    def activation(self, shape: list[int], name: str = "x", zero: int = 128) -> str:
        """An input, quantized and dequantized."""
        self.inputs[name] = (TensorProto.FLOAT, shape)
        self.constant("xs", S), self.constant("xz", np.uint8(zero))
        self.node("QuantizeLinear", [name, "xs", "xz"], f"{name}q")
        return self.node("DequantizeLinear", [f"{name}q", "xs", "xz"], f"{name}d")

    def weights(self, shape: tuple[int, ...], name: str = "w", axis: int | None = None, dtype: Any = np.int8) -> str:
        """Constant weights, dequantized; `axis`: a scale for each of its indices."""
        rng = np.random.default_rng(len(self.nodes))
        self.constant(name, rng.integers(-100, 100, shape).astype(dtype))
        n = () if axis is None else (shape[axis],)
        self.constant(f"{name}s", np.full(n, 0.01, np.float32) * np.arange(1, 1 + np.prod(n, dtype=int)).reshape(n))
        self.constants[f"{name}s"] = self.constants[f"{name}s"].astype(np.float32)
        self.constant(f"{name}z", np.zeros(n, dtype))
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", [name, f"{name}s", f"{name}z"], f"{name}d", **attributes)

    def bias(self, scale: Any, n: int, zero: bool = False) -> str:
        """An int32 bias, dequantized."""
        self.constant("b", np.arange(n, dtype=np.int32) * 100 - 150)
        inputs = ["b", self.constant("bs", np.asarray(scale, np.float32))]
        if zero:
            inputs.append(self.constant("bz", np.zeros(np.shape(scale), np.int32)))
        return self.node("DequantizeLinear", inputs, "bd", **({"axis": 0} if np.ndim(scale) else {}))

    def quantize(self, name: str, zero: int = 128, scale: float = 0.03, dtype: Any = np.uint8) -> str:
        """QuantizeLinear as an output."""
        self.constant("ys", np.float32(scale)), self.constant("yz", dtype(zero))
        return self.node("QuantizeLinear", [name, "ys", "yz"], "y")

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model."""
        graph = helper.make_graph(
            self.nodes,
            "rules",
            [helper.make_tensor_value_info(name, *described) for name, described in self.inputs.items()],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("local", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=self.functions)


def lowered(model: onnx.ModelProto, seed: int = 0, **shapes: tuple[int, ...]) -> list[dict[str, Any]]:
    """What both panels say, after seeing that they say it alike and give the same bits; so does the lowered file."""
    content = model.SerializeToString()
    rng = np.random.default_rng(seed)
    feeds = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if not feeds:
        for value in model.graph.input:
            shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            kind = np.dtype(dtype).kind
            feeds[value.name] = (rng.normal(size=shape) if kind == "f" else rng.integers(0, 100, shape)).astype(dtype)
    left = diptych_reference.ReferenceSession(content)
    right = diptych.InferenceSession(content)
    found = right.lowering()
    plain = [{**entry, **{key: tuple(entry[key]) for key in ("nodes_in", "nodes_out")}} for entry in found]
    assert plain == [vars(entry) for entry in left.lowering]
    expected = left.run(None, feeds)
    file = diptych_reference.lowered_model(content).SerializeToString()
    options = diptych.SessionOptions(quantized="float")
    for session in (
        right,
        diptych.InferenceSession(file),
        diptych.InferenceSession(file, options),
        diptych_reference.ReferenceSession(file, quantized="float"),
    ):
        for wanted, got in zip(expected, session.run(None, feeds), strict=True):
            assert not compare(wanted, got).problem
    inexact = diptych.InferenceSession(content, options).run(None, feeds)
    floats = diptych_reference.ReferenceSession(content, quantized="float").run(None, feeds)
    for wanted, got in zip(inexact, floats, strict=True):
        assert not compare(wanted, got).problem
    return found


def became(model: onnx.ModelProto) -> str:
    """Operators of the only product, or why it stays."""
    [entry] = lowered(model)
    return entry["reason"] or " ".join(op_type for _, op_type in entry["nodes_out"])


def conv(b: Build, *bias: str, axis: int | None = 0, **attributes: Any) -> str:
    """A convolution."""
    inputs = [b.activation([1, 2, 4, 4]), b.weights((3, 2, 3, 3), axis=axis), *bias]
    return b.node("Conv", inputs, "p", pads=[1, 1, 1, 1], **attributes)


def gemm(b: Build, *bias: str, **attributes: Any) -> str:
    """A Gemm."""
    inputs = [b.activation([4, 5]), b.weights((5, 3), axis=1), *bias]
    return b.node("Gemm", inputs, "p", **attributes)


def matmul(b: Build, axis: int | None = 1) -> str:
    """A MatMul."""
    return b.node("MatMul", [b.activation([4, 5]), b.weights((5, 3), axis=axis)], "p")
