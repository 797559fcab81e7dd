"""Random models of quantized products: what lowering takes, and what it must leave.

Each model is one product or a few in a row, DequantizeLinear before and perhaps QuantizeLinear behind, drawn so that
most of them can be lowered and each condition of docs/quantization.md is missed now and then. All of them are valid.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from onnx import NodeProto, helper, numpy_helper

from diptych.testing.case import IR_VERSION, declared
from diptych.testing.draws import Draw, Drawn
from diptych.testing.graphs import GraphCase
from diptych.testing.values import Array

__all__ = ["quantized_models"]

BYTES = (np.uint8, np.int8)


class Sketch:
    """A model in the making; `at` is the float tensor that the next product reads."""

    def __init__(self, draw: Draw, opset: int) -> None:
        self.draw, self.opset = draw, opset
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.overridable: set[str] = set()
        self.feeds: dict[str, Array] = {}
        self.outputs: dict[str, Array] = {}
        self.count = 0
        self.rng = np.random.default_rng(draw.integer(0, 2**32 - 1))

    def choose(self, *choices: Any) -> Any:
        """One of `choices`."""
        return self.draw.choose(choices)

    def seldom(self) -> bool:
        """True once in a while."""
        return bool(self.draw.choose((False,) * 11 + (True,)))

    def fresh(self, stem: str) -> str:
        """A new name."""
        self.count += 1
        return f"{stem}{self.count}"

    def constant(self, value: Any, stem: str = "c") -> str:
        """A new initializer; seldom one that a caller may override, or the output of a Constant."""
        name, value = self.fresh(stem), np.asarray(value)
        if self.seldom():
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value)))
            return name
        self.constants[name] = value
        if self.draw.choose((False,) * 30 + (True,)):
            self.overridable.add(name)
        return name

    def node(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        """A new node; half of them have a name."""
        output = self.fresh("v")
        name = self.choose("", f"node_{output}")
        self.nodes.append(helper.make_node(op_type, inputs, [output], name, **attributes))
        return output

    def scale(self, shape: tuple[int, ...] = ()) -> Array:
        """Scales as calibration gives them, seldom extreme ones."""
        if self.seldom():
            return np.full(shape, self.choose(0.0, 1e-30, 1e-40, 3e20, 2.0**-7), np.float32)
        return np.exp(self.rng.uniform(-6, -2, shape)).astype(np.float32)

    def zero(self, dtype: Any, shape: tuple[int, ...] = ()) -> Array:
        """Zero points."""
        ends = np.iinfo(dtype)
        kind = self.choose("middle", "least", "any")
        value = {"middle": 128 if dtype == np.uint8 else 0, "least": ends.min}.get(kind)
        drawn = self.rng.integers(ends.min, ends.max + 1, shape) if value is None else np.full(shape, value)
        return np.asarray(drawn).astype(dtype)

    def scalar(self, value: Array) -> Array:
        """A scalar, as such or in one axis."""
        return value.reshape(self.choose((), (1,)))

    def quantize(self, name: str, dtype: Any, scale: Array, zero: Array | None) -> str:
        """QuantizeLinear with one scale."""
        inputs = [name, self.constant(self.scalar(scale), "s")]
        if zero is not None:
            inputs.append(self.constant(zero.reshape(self.constants.get(inputs[1], scale).shape), "z"))
        return self.node("QuantizeLinear", inputs)

    def dequantize(self, name: str, scale: str, zero: str | None, **attributes: Any) -> str:
        """DequantizeLinear."""
        return self.node("DequantizeLinear", [name, scale, *([] if zero is None else [zero])], **attributes)

    def activation(self, name: str) -> str:
        """A float tensor through QuantizeLinear and DequantizeLinear."""
        dtype = self.choose(*BYTES)
        scale, zero = self.scale(), self.zero(dtype)
        if not scale > 0:
            scale = np.array(0.02, np.float32)
        without = dtype == np.uint8 and self.seldom()
        q = self.quantize(name, dtype, scale, None if without else zero)
        given = list(next(node for node in self.nodes if node.output[0] == q).input[1:])
        if without and self.choose(True, False):
            given.append(self.constant(np.zeros(self.shape_of(given[0]), dtype), "z"))
        return self.dequantize(q, given[0], given[1] if len(given) > 1 else None)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a constant."""
        if name in self.constants:
            return self.constants[name].shape
        node = next(node for node in self.nodes if node.output[0] == name)
        return tuple(numpy_helper.to_array(node.attribute[0].t).shape)

    def weights(self, shape: tuple[int, ...], axis: int) -> tuple[str, Array]:
        """Constant weights, dequantized, and their scales: one, or one an index of `axis`, seldom of another axis."""
        dtype = self.choose(np.int8, np.int8, np.uint8)
        if self.opset >= 21 and self.seldom():
            dtype = self.choose(np.int16, ml_dtypes.int4)
        per_axis = self.opset >= 13 and self.choose(True, False)
        axis = self.draw.integer(0, len(shape) - 1) if per_axis and self.seldom() else axis
        granularity = (shape[axis],) if per_axis else ()
        scale = self.scale(granularity)
        ends = ml_dtypes.iinfo(np.dtype(dtype))  # type: ignore[no-untyped-call]
        zero = self.zero(dtype, granularity) if dtype in BYTES else np.zeros(granularity, dtype)
        attributes = {"axis": self.choose(axis, axis - len(shape))} if per_axis else {}
        if dtype in BYTES and (scale > 0).all() and self.seldom():  # as training with quantization exports them
            real = self.constant(self.rng.normal(size=shape).astype(np.float32), "w")
            given = [self.constant(scale, "s"), self.constant(zero, "z")]
            q = self.node("QuantizeLinear", [real, *given], **attributes)
            return self.dequantize(q, *given, **attributes), scale
        q = self.constant(self.rng.integers(int(ends.min), int(ends.max) + 1, shape).astype(dtype), "w")
        with_zero = bool(zero.any()) or self.choose(True, False)
        return self.dequantize(
            q, self.constant(scale, "s"), self.constant(zero, "z") if with_zero else None, **attributes
        ), scale

    def transposed_weights(self, shape: tuple[int, int], axis: int) -> tuple[str, Array]:
        """Weights behind a Transpose now and then."""
        if not self.choose(False, False, True):
            return self.weights(shape, axis)
        name, scale = self.weights(shape[::-1], 1 - axis)
        perm = {"perm": [1, 0]} if self.choose(True, False) else {}
        return self.node("Transpose", [name], **perm), scale

    def bias(self, n: int, x: str, scale: Array, needed: bool = False) -> list[str]:
        """No bias, one of floats, or int32 in the product's scale (seldom another one)."""
        kind = self.choose("float" if needed else "none", "float", "int", "int")
        if kind == "none":
            return []
        if kind == "float":
            return [self.constant(self.rng.normal(size=n).astype(np.float32), "b")]
        dq = next((node for node in self.nodes if node.output[0] == x and node.op_type == "DequantizeLinear"), None)
        x_scale = self.constants.get(dq.input[1], np.float32(0.01)) if dq is not None else np.float32(0.01)
        with np.errstate(over="ignore", under="ignore"):
            steps = np.asarray(x_scale.reshape(()) * scale).reshape(scale.shape) * np.float32(
                1.5 if self.seldom() else 1
            )
        if steps.ndim and steps.size != n:  # weights with scales along another axis
            steps = steps.reshape(-1)[0]
        q = self.constant(self.rng.integers(-3000, 3000, n).astype(np.int32), "b")
        zero = [self.constant(np.zeros(steps.shape, np.int32), "z")] if self.choose(True, False) else []
        attributes = {"axis": 0} if steps.ndim else {}
        return [self.node("DequantizeLinear", [q, self.constant(steps, "s"), *zero], **attributes)]

    def before(self, name: str) -> str:
        """The operand of a product: dequantized, seldom not."""
        return name if self.seldom() else self.activation(name)

    def behind(self, name: str, value: Array) -> str:
        """What follows a product: nothing, an activation, QuantizeLinear, both."""
        if self.seldom():
            self.outputs[name] = value
        kind = self.choose("none", "Relu", "Clip", "Sigmoid", "none")
        if kind in ("Relu", "Sigmoid"):
            name = self.node(kind, [name])
        elif kind == "Clip":
            low, high = sorted(self.rng.uniform(-2, 6, 2).astype(np.float32))
            if self.opset < 11:
                name = self.node("Clip", [name], min=float(low), max=float(high))
            else:
                low, high = self.choose((low, high), (np.float32(0), np.float32(6)))
                ends = self.choose((low, high), (low,), (None, high))
                name = self.node("Clip", [name, *("" if end is None else self.constant(end, "e") for end in ends)])
        if self.choose(True, True, False):
            name = self.activation(name)
        return name


def convolution(s: Sketch, name: str, x: Array) -> tuple[str, Array]:
    """Conv of [N, C, H, W], grouped now and then."""
    channels, m, k, group = x.shape[1], s.choose(2, 4, 6), s.choose(3, 1), s.choose(1, 1, 2)
    given = s.before(name)
    weight, scale = s.weights((m, channels // group, k, k), 0)
    y = s.node("Conv", [given, weight, *s.bias(m, given, scale)], pads=[k // 2] * 4, group=group)
    return y, np.zeros((x.shape[0], m, *x.shape[2:]), np.float32)


def product(s: Sketch, name: str, x: Array) -> tuple[str, Array]:
    """MatMul by constant weights, on either side, or by itself."""
    depth, n = x.shape[-1], s.choose(1, 3, 8, 17)
    given = s.before(name)
    if s.seldom() and x.shape[-1] == x.shape[-2]:
        return s.node("MatMul", [given, s.before(name)]), x
    if x.ndim == 2 and s.seldom():
        weight, _ = s.transposed_weights((n, x.shape[0]), 0)
        return s.node("MatMul", [weight, given]), np.zeros((n, depth), np.float32)
    weight, _ = s.transposed_weights((depth, n), 1)
    return s.node("MatMul", [given, weight]), np.zeros((*x.shape[:-1], n), np.float32)


def gemm(s: Sketch, name: str, x: Array) -> tuple[str, Array]:
    """Gemm with the weights as they are or transposed."""
    depth, n, turned = x.shape[1], s.choose(1, 3, 8, 17), s.choose(0, 1)
    given = s.before(name)
    weight, scale = s.weights((n, depth) if turned else (depth, n), 1 - turned)
    attributes: dict[str, Any] = {"alpha": 0.5} if s.seldom() else {}
    y = s.node("Gemm", [given, weight, *s.bias(n, given, scale, needed=s.opset < 11)], transB=turned, **attributes)
    return y, np.zeros((x.shape[0], n), np.float32)


@st.composite
def quantized_models(draw: Any, products: tuple[int, int] = (1, 3)) -> GraphCase:
    """Models of a few products of quantized operands, and their feeds."""
    source = Drawn(draw)
    s = Sketch(source, source.choose((10, 11, 13, 21, 23)))
    shape = source.choose(((2, 3), (5, 5), (1, 2, 5, 5), (2, 4, 3, 3), (2, 3, 3), (1, 16)))
    name = "x"
    value = s.feeds[name] = s.rng.normal(size=shape).astype(np.float32) * np.float32(2)
    for _ in range(source.integer(*products)):
        rules = (product, *([gemm] if value.ndim == 2 else []), *([convolution] * 2 if value.ndim == 4 else []))
        if value.ndim == 4 and value.shape[1] % 2:
            rules = (product,)
        name, value = source.choose(rules)(s, name, value)
        if s.seldom():
            s.outputs[name] = value
        name = s.behind(name, value)
    s.outputs[name] = value
    dims = {output: [None] * value.ndim for output, value in s.outputs.items()}
    graph = helper.make_graph(
        s.nodes,
        "quantized",
        [declared(n, v) for n, v in [*s.feeds.items(), *((n, s.constants[n]) for n in sorted(s.overridable))]],
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in dims.items()],
        [numpy_helper.from_array(v, n) for n, v in s.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", s.opset)], ir_version=IR_VERSION)
    return GraphCase(model, s.feeds)
