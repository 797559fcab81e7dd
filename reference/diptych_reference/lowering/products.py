"""The rules: Conv, MatMul and Gemm of dequantized operands as products of integers.

Two forms. *Requantized*: where QuantizeLinear with one scale follows (Relu or Clip between them or not), QLinearConv
and QLinearMatMul, then Max and Min where the bounds are inside the type. *Scaled*, for any other reader:
`rn(rn(acc + bias) * rn(a_scale * b_scale))` from ConvInteger or MatMulInteger, Add, Cast, Mul; a bias that is no int32
of that scale is added at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from diptych_reference.lowering.pattern import (
    F32,
    Kept,
    Operand,
    Requantization,
    Rewrite,
    Scope,
    integer,
    number,
    operand,
    permute,
    requantization,
)
from diptych_reference.model import Node
from diptych_reference.operator import Array
from diptych_reference.signature import DTYPE_NAMES

FIRST_INTEGER_OPSET = 10
SMALL_MAX_OPSET = 12  # Max and Min take bytes
GREATEST_SUM = 2**31 - 1
SCALE_TOLERANCE = 2.0**-20  # by which the scale of a bias may miss the product of the scales, relatively


@dataclass
class Bias:
    """What is added to a product: int32 in its scale, or floats."""

    name: str
    value: Array
    exact: bool  # int32
    nodes: list[Node]

    def magnitude(self) -> int:
        """The greatest magnitude, of integers."""
        return int(np.abs(self.value.astype(np.int64)).max(initial=0)) if self.exact else 0


def conv(scope: Scope, node: Node) -> Rewrite:
    """Conv with constant weights [M, C/group, kernel…], scales one in all or one for each of the M channels."""
    x, w = operands(scope, node, "X", "W")
    if w.value is None:
        raise Kept("W is no constant")
    if w.value.ndim < 3:
        raise Kept(f"W has rank {w.value.ndim}")
    one_scale(x)
    scaled_along(w, 0)
    factor = product_scale(x, w)
    bias = bias_of(scope, node, x, w, [(w.value.shape[0],)])
    check_sums(math.prod(w.value.shape[1:]), x, w, bias)
    after = requantization(scope, node.outputs[0])
    if bias is None or bias.exact:
        lowered = requantized(scope, node, "QLinearConv", (x, w), after, [] if bias is None else [bias])
        if lowered is not None:
            return lowered
    return scaled(scope, node, "ConvInteger", (x, w), factor, bias, trailing=w.value.ndim - 2)


def conv_transpose(scope: Scope, node: Node) -> Rewrite:
    """ConvTranspose stays."""
    raise Kept("ONNX has no ConvTranspose of integers")


def matmul(scope: Scope, node: Node) -> Rewrite:
    """MatMul; the scales of B are one in all or one for each column."""
    a, b = operands(scope, node, "A", "B")
    return product(scope, node, a, b, None)


def gemm(scope: Scope, node: Node) -> Rewrite:
    """Gemm with alpha = beta = 1, A as it is, and a bias for each column."""
    a, b = operands(scope, node, "A", "B")
    for name, wanted in (("transA", 0), ("alpha", 1.0), ("beta", 1.0)):
        if number(node, name, wanted) != wanted:
            raise Kept(f"{name} is not {wanted:g}")
    if b.value is not None and b.value.ndim != 2:
        raise Kept(f"B has rank {b.value.ndim}")
    if integer(node, "transB"):
        permute(b, [1, 0])
    one_scale(a)
    scaled_along(b, -1)
    columns = None if b.value is None else b.value.shape[1]
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        if columns is None:
            raise Kept("B is no constant and C is given")
        bias = bias_of(scope, node, a, b, [(), (1,), (columns,), (1, 1), (1, columns)])
    return product(scope, node, a, b, bias)


def product(scope: Scope, node: Node, a: Operand, b: Operand, bias: Bias | None) -> Rewrite:
    """A product of matrices."""
    one_scale(a)
    scaled_along(b, -1)
    factor = product_scale(a, b)
    for matrix in (a, b):
        if matrix.value is not None and matrix.value.ndim == 0:
            raise Kept(f"{matrix.label} has rank 0")
    if b.value is not None:
        check_sums(b.value.shape[-2:][0], a, b, bias)
    elif a.value is not None:
        check_sums(a.value.shape[-1], a, b, bias)
    if bias is None:
        lowered = requantized(scope, node, "QLinearMatMul", (a, b), requantization(scope, node.outputs[0]), [])
        if lowered is not None:
            return lowered
    return scaled(scope, node, "MatMulInteger", (a, b), factor, bias, trailing=0)


def operands(scope: Scope, node: Node, *labels: str) -> list[Operand]:
    """Both operands of a product."""
    if scope.opset(node) < FIRST_INTEGER_OPSET:
        raise Kept(f"opset {scope.opset(node)} has no integer operators")
    return [operand(scope, name, label) for name, label in zip(node.inputs, labels, strict=False)]


def one_scale(x: Operand) -> None:
    """The first operand has one scale: its other axes are summed over, or are not the output's channels."""
    if x.axis is not None:
        raise Kept(f"{x.label} has a scale for each index of an axis")


def scaled_along(w: Operand, axis: int) -> None:
    """The second operand has one scale, or one for each index of the axis that the output keeps."""
    if w.axis is not None and w.value is not None and (w.value.ndim < 2 or w.axis != axis % w.value.ndim):
        raise Kept(f"{w.label} has scales along axis {w.axis}, which is not the output's")


def product_scale(x: Operand, w: Operand) -> Array:
    """`rn(x_scale * w_scale)`, all of them normal numbers or 0."""
    factor = np.asarray(x.scale * w.scale)
    zero = (x.scale == 0) | (w.scale == 0)
    if not (zero | (np.isfinite(factor) & (factor >= np.finfo(np.float32).tiny))).all():
        raise Kept(f"the product of the scales of {x.label} and {w.label} is no normal number")
    return factor


def check_sums(terms: int, x: Operand, w: Operand, bias: Bias | None) -> None:
    """No sum of so many terms may pass int32."""
    if terms * x.span() * w.span() + (0 if bias is None else bias.magnitude()) > GREATEST_SUM:
        raise Kept(f"sums of {terms} products may pass int32")


def bias_of(scope: Scope, node: Node, x: Operand, w: Operand, shapes: list[tuple[int, ...]]) -> Bias | None:
    """The third input, of one of these shapes: int32 where its scale is that of the product, else floats."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return None
    name = node.inputs[2]
    source = scope.producer(name, "DequantizeLinear")
    value = scope.constant(name)
    if value is None:
        raise Kept("the bias is no constant")
    if value.dtype != F32:
        raise Kept(f"the bias is {DTYPE_NAMES[value.dtype]}")
    if value.shape not in shapes:
        raise Kept(f"the bias has shape {list(value.shape)}")
    if source is not None and in_scale(scope, source, x, w):
        integers = scope.constant(source.inputs[0])
        if integers is not None:
            return Bias(source.inputs[0], integers, True, [source])
    return Bias(name, value, False, [] if source is None else [source])


def in_scale(scope: Scope, source: Node, x: Operand, w: Operand) -> bool:
    """Whether a DequantizeLinear gives int32 of at most one axis, zero point 0, in steps of x_scale * w_scale."""
    q, scale = scope.constant(source.inputs[0]), scope.constant(source.inputs[1])
    zero = scope.constant(source.inputs[2]) if len(source.inputs) > 2 and source.inputs[2] else None
    if q is None or scale is None or q.dtype != np.int32 or q.ndim > 1 or integer(source, "block_size"):
        return False
    if scale.dtype != F32 or (zero is not None and zero.any()):
        return False
    steps = x.scale.astype(np.float64) * w.scale.astype(np.float64)  # exact
    scale = (scale.reshape(()) if scale.size == 1 else scale).astype(np.float64)
    if scale.ndim and steps.ndim and scale.shape != steps.shape:
        return False
    return bool((np.abs(scale - steps) <= steps * SCALE_TOLERANCE).all())


@dataclass
class Names:
    """Makes the nodes that stand for one product, named after it."""

    scope: Scope
    node: Node

    def make(self, op_type: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> Node:
        """A node of the product's opset; the product's own name unless one is given."""
        of = self.node
        name = f"{of.place}/{name}" if name else of.place
        return Node(op_type, "", "", name, of.index, inputs, [output], attributes, of.opsets)

    def between(self, op_type: str) -> str:
        """A name for a value before the last one."""
        return self.scope.fresh(f"{self.node.outputs[0]}/{op_type}")

    def constant(self, what: str, value: Any) -> str:
        """A new initializer of the product."""
        return self.scope.new_constant(f"{self.node.outputs[0]}/{what}", value)

    def transposed(self, operand: Operand) -> tuple[list[Node], str]:
        """The quantized operand behind its permutations."""
        nodes, name = [], operand.name
        for i, perm in enumerate(operand.perms):
            place = f"Transpose_{operand.label}" + (f"_{i}" if i else "")
            output = self.scope.fresh(f"{self.node.outputs[0]}/{place}")
            nodes.append(self.make("Transpose", [name], output, place, **({} if perm is None else {"perm": perm})))
            name = output
        return nodes, name

    def scale(self, operand: Operand) -> str:
        """The scale of an operand."""
        return self.constant(f"{operand.label.lower()}_scale", operand.scale)

    def zero_point(self, operand: Operand) -> str:
        """The zero point of an operand."""
        return self.constant(f"{operand.label.lower()}_zero_point", operand.zero)


def requantized(
    scope: Scope,
    node: Node,
    op_type: str,
    operands: tuple[Operand, Operand],
    after: Requantization | None,
    bias: list[Bias],
) -> Rewrite | None:
    """QLinearConv or QLinearMatMul, then Max and Min; None where nothing requantizes, or not so."""
    if after is None:
        return None
    x, w = operands
    multiplier = x.scale * w.scale / after.scale
    bounds = [("Max", after.least), ("Min", after.greatest)]
    steps = [(name, bound) for name, bound in bounds if bound is not None]
    if not np.isfinite(multiplier).all() or (steps and scope.opset(node) < SMALL_MAX_OPSET):
        return None
    names = Names(scope, node)
    nodes, inputs = [], []
    for factor in operands:
        permutations, name = names.transposed(factor)
        nodes += permutations
        inputs += [name, names.scale(factor), names.zero_point(factor)]
    inputs += [names.constant("y_scale", after.scale), names.constant("y_zero_point", after.zero)]
    outputs = [names.between(kind) for kind in [op_type, *(name for name, _ in steps)][:-1]] if steps else []
    outputs.append(after.output)
    inputs += [addend.name for addend in bias]
    attributes = node.attributes if op_type == "QLinearConv" else {}
    nodes.append(names.make(op_type, inputs, outputs[0], **attributes))
    for (kind, bound), before, output in zip(steps, outputs, outputs[1:], strict=False):
        limit = names.constant(kind, np.array(bound, after.zero.dtype))
        nodes.append(names.make(kind, [before, limit], output, kind))
    sources = [*x.nodes, *w.nodes, *(source for addend in bias for source in addend.nodes)]
    return Rewrite(nodes, [node, *after.nodes], [*sources, node, *after.nodes], sources)


def scaled(
    scope: Scope,
    node: Node,
    op_type: str,
    operands: tuple[Operand, Operand],
    factor: Array,
    bias: Bias | None,
    trailing: int,
) -> Rewrite:
    """ConvInteger or MatMulInteger, Add of int32, Cast, Mul, Add of floats. `trailing` axes come after the channels."""
    x, w = operands
    names = Names(scope, node)
    (before_x, x_name), (before_w, w_name) = names.transposed(x), names.transposed(w)
    zeros = [names.zero_point(factor) for factor in operands]
    spread = (-1, *(1,) * trailing)
    addend = None
    if bias is not None:
        addend = bias.name if not trailing else names.constant("bias", bias.value.reshape(spread))
    factor_name = names.constant("scale", factor.reshape(spread) if factor.ndim and trailing else factor)
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if bias is not None and bias.exact:
        steps.append(("Add", [str(addend)], {}))
    steps += [("Cast", [], {"to": int(TensorProto.FLOAT)}), ("Mul", [factor_name], {})]
    if bias is not None and not bias.exact:
        steps.append(("Add", [str(addend)], {}))
    attributes = node.attributes if op_type == "ConvInteger" else {}
    value = names.between(op_type)
    nodes = [*before_x, *before_w, names.make(op_type, [x_name, w_name, *zeros], value, **attributes)]
    for i, (kind, others, settings) in enumerate(steps):
        output = node.outputs[0] if i == len(steps) - 1 else names.between(kind)
        nodes.append(names.make(kind, [value, *others], output, kind, **settings))
        value = output
    sources = [*x.nodes, *w.nodes, *([] if bias is None else bias.nodes)]
    return Rewrite(nodes, [node], [*sources, node], sources)
