"""What the rules of lowering look at: who produces and who reads a value, constants, quantized operands."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from onnx import TensorProto

from diptych_reference.errors import Error
from diptych_reference.model import ELEMENT_NAMES, Graph, Node
from diptych_reference.operator import Array, lookup
from diptych_reference.schemas import find_schema
from diptych_reference.signature import DTYPE_NAMES, check_attributes, check_inputs

# Operators through which constants are followed, and how many of them one after the other.
FOLDED = frozenset(
    (
        "Constant",
        "Identity",
        "Cast",
        "QuantizeLinear",
        "DequantizeLinear",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
    )
)
LONGEST_CHAIN = 16
BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
F32 = np.dtype(np.float32)


class Kept(Exception):  # noqa: N818  nothing is wrong
    """The pattern stays floating point; the message says why, in the words of both panels."""


@dataclass
class Rewrite:
    """What a product becomes: `nodes` stand in its place and for the nodes in `removed`.

    `pattern` lists all nodes that the meaning was read from; `operands` are those of them that go if nobody reads them.
    """

    nodes: list[Node]
    removed: list[Node]
    pattern: list[Node]
    operands: list[Node]


def number(node: Node, name: str, default: int | float) -> int | float:
    """An attribute that is a number of the default's kind."""
    value = node.attributes.get(name, default)
    if type(value) is not type(default):
        raise Kept(f"{node.op_type} has a malformed attribute {name}")
    return value


def integer(node: Node, name: str, default: int = 0) -> int:
    """An attribute that is an integer."""
    return int(number(node, name, default))


class Scope:
    """A graph to be lowered, inside the scope of the graph around it. `constants` collects the new initializers."""

    def __init__(self, graph: Graph, opsets: dict[str, int], outer: Scope | None, taken: set[str]) -> None:
        self.graph, self.opsets, self.outer, self.taken = graph, opsets, outer, taken
        self.inputs = {value.name: value for value in graph.inputs}
        self.producers = {name: node for node in graph.nodes for name in node.outputs if name}
        self.outputs = {value.name for value in graph.outputs}
        self.constants: dict[str, Array] = {}
        self.folded: dict[str, Array | None] = {}

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """The nodes that read each value, inside their graphs too."""
        readers: dict[str, list[Node]] = {}
        for node in self.graph.nodes:
            for name in node.reads():
                readers.setdefault(name, []).append(node)
        return readers

    @cached_property
    def chains(self) -> dict[str, int]:
        """The constants of this graph, each with the number of nodes that lead to it one after the other."""
        lengths = {name: 0 for name in self.graph.initializers if name not in self.inputs}
        for node in self.graph.nodes:
            before = [self.chain(name, lengths) for name in node.inputs if name]
            if node.domain == "" and node.op_type in FOLDED and len(node.outputs) == 1 and None not in before:
                lengths[node.outputs[0]] = 1 + max((length for length in before if length is not None), default=0)
        return lengths

    def chain(self, name: str, lengths: dict[str, int]) -> int | None:
        """Nodes that lead to a constant; None where the value is none."""
        if name in lengths or name in self.producers or name in self.inputs or self.outer is None:
            return lengths.get(name)
        return self.outer.chain(name, self.outer.chains)

    def opset(self, node: Node) -> int:
        """The version of ai.onnx that a node belongs to."""
        return (node.opsets or self.opsets).get("", 0)

    def producer(self, name: str, op_type: str) -> Node | None:
        """The node of that operator which gives the value as its first output."""
        node = self.producers.get(name)
        if (
            node is None
            or node.domain
            or node.op_type != op_type
            or node.outputs[0] != name
            or not any(node.inputs[:1])
        ):
            return None
        return node

    def is_dequantized(self, name: str) -> bool:
        """Whether the value comes from a DequantizeLinear of this graph, a Transpose between them or not."""
        transpose = self.producer(name, "Transpose")
        return self.producer(transpose.inputs[0] if transpose else name, "DequantizeLinear") is not None

    def only_reader(self, name: str) -> Node | None:
        """The node that reads a value, if it is the only one and the graph does not give the value out."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def constant(self, name: str) -> Array | None:
        """A value that is the same in every run; None for others, and for initializers that a caller may override."""
        if not name:
            return None
        own = name in self.producers or name in self.inputs or name in self.graph.initializers
        if not own:
            return self.outer.constant(name) if self.outer else None
        if name not in self.folded:
            self.folded[name] = self.fold(name)
        return self.folded[name]

    def fold(self, name: str) -> Array | None:
        """Evaluate a constant."""
        if self.chains.get(name, LONGEST_CHAIN + 1) > LONGEST_CHAIN:
            return None
        value = self.graph.initializers.get(name)
        if name in self.producers:
            node = self.producers[name]
            inputs = [self.constant(given) if given else None for given in node.inputs]
            if any(value is None for value, given in zip(inputs, node.inputs, strict=True) if given):
                return None
            try:
                value = evaluated(node, inputs, self.opset(node))
            except Error:  # the run will say so
                return None
        return value if isinstance(value, np.ndarray) and value.dtype != object else None

    def new_constant(self, name: str, value: Any) -> str:
        """A new initializer, named after a value."""
        name = self.fresh(name)
        self.constants[name] = np.asarray(value)
        return name

    def fresh(self, name: str) -> str:
        """A name that no value of the model has."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def evaluated(node: Node, inputs: list[Any], opset: int) -> Any:
    """The only output of a node of ai.onnx, its types held against the schema as in a run."""
    schema = find_schema("", node.op_type, opset)
    if schema is not None:
        check_inputs(schema, inputs)
        check_attributes(schema, node.attributes)
    return lookup("", node.op_type, opset)(inputs, node.attributes)[0]


@dataclass
class Operand:
    """A quantized operand of a product: value `name`, then the permutations in `perms`, read as `(q - zero) * scale`.

    `scale` and `zero` are scalars, or have one value for each index of `axis`. `value` is the constant, permuted; None
    for others.
    """

    label: str
    name: str
    scale: Array
    zero: Array
    axis: int | None
    value: Array | None
    perms: list[list[int] | None] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def span(self) -> int:
        """The greatest magnitude of `q - zero`."""
        ends = np.iinfo(self.zero.dtype)
        zeros = self.zero.astype(np.int64)
        return int(max((zeros - ends.min).max(initial=0), (ends.max - zeros).max(initial=0)))


def operand(scope: Scope, name: str, label: str) -> Operand:
    """Read a product's operand: DequantizeLinear of 8-bit integers, then perhaps Transpose."""
    transpose = scope.producer(name, "Transpose")
    node = scope.producer(transpose.inputs[0] if transpose else name, "DequantizeLinear")
    if node is None:
        raise Kept(f"{label} is not quantized")
    scale, zero = granularity(scope, node, label)
    value = scope.constant(node.inputs[0])
    check_type(scope, node, zero, value, label)
    if zero is None:
        zero = np.zeros(scale.shape, quantized_type(scope, node.inputs[0]))
    if not (np.isfinite(scale) & (scale >= 0)).all():
        raise Kept(f"{label} has a scale that is negative or not finite")
    axis = None
    if scale.ndim:
        axis = integer(node, "axis", 1)
        if value is None:
            raise Kept(f"{label} has a scale for each index of an axis and is no constant")
        axis += value.ndim if axis < 0 else 0
        if not 0 <= axis < value.ndim or value.shape[axis] != scale.size:
            raise Kept(f"{label} has scales that do not fit its shape")
    found = Operand(label, node.inputs[0], scale, zero, axis, value, nodes=[node])
    if transpose is not None:
        perm = transpose.attributes.get("perm")
        if perm is not None and not (isinstance(perm, list) and all(type(axis) is int for axis in perm)):
            raise Kept("Transpose has a malformed attribute perm")
        permute(found, perm)
        found.nodes.append(transpose)
    return found


def granularity(scope: Scope, node: Node, label: str) -> tuple[Array, Array | None]:
    """Scale and zero point of a DequantizeLinear: scalars, or vectors along its axis."""
    if integer(node, "block_size"):
        raise Kept(f"{label} is quantized in blocks")
    scale, zero = (scope.constant(name) for name in [*node.inputs[1:3], "", ""][:2])
    if scale is None:
        raise Kept(f"{label} has a scale that is no constant")
    given = len(node.inputs) > 2 and node.inputs[2] != ""
    if given and zero is None:
        raise Kept(f"{label} has a zero point that is no constant")
    target = integer(node, "output_dtype") or TensorProto.FLOAT
    if scale.dtype != F32 or target != TensorProto.FLOAT:
        raise Kept(f"{label} is not dequantized to float")
    if scale.ndim > 1 or (zero is not None and zero.shape != scale.shape and not zero.size == scale.size == 1):
        raise Kept(f"{label} has a scale and zero point of different shapes")
    if scale.size != 1 and scope.opset(node) < 13:
        raise Kept(f"{label} has a scale for each index of an axis before opset 13")
    if scale.size == 1:
        scale, zero = scale.reshape(()), None if zero is None else zero.reshape(())
    return scale, zero


def check_type(scope: Scope, node: Node, zero: Array | None, value: Array | None, label: str) -> None:
    """Integer operators take int8 and uint8."""
    dtype = quantized_type(scope, node.inputs[0]) if zero is None else zero.dtype
    if value is not None and value.dtype != dtype:
        raise Kept(f"{label} and its zero point have different types")
    if dtype is None:
        raise Kept(f"{label} is of unknown type: give its DequantizeLinear a zero point")
    if dtype not in BYTES:
        raise Kept(f"{label} is {DTYPE_NAMES[dtype]}")


def quantized_type(scope: Scope, name: str) -> np.dtype[Any] | None:
    """Element type of a quantized value, where this graph says it."""
    value = scope.constant(name)
    if value is not None:
        return value.dtype
    if name in scope.inputs:
        named = scope.inputs[name].type_name
        return next((dtype for dtype, known in DTYPE_NAMES.items() if named == f"tensor({known})"), None)
    node = scope.producer(name, "QuantizeLinear")
    return None if node is None else output_type(scope, node)


def output_type(scope: Scope, node: Node) -> np.dtype[Any] | None:
    """Element type that a QuantizeLinear gives."""
    if len(node.inputs) > 2 and node.inputs[2]:
        zero = scope.constant(node.inputs[2])
        return None if zero is None else zero.dtype
    named = ELEMENT_NAMES.get(integer(node, "output_dtype") or TensorProto.UINT8)
    return next((dtype for dtype, name in DTYPE_NAMES.items() if name == named), None)


def permute(operand: Operand, perm: list[int] | None) -> None:
    """Put a Transpose behind an operand."""
    operand.perms.append(perm)
    if operand.value is None:
        return
    rank = operand.value.ndim
    order = list(range(rank))[::-1] if perm is None else perm
    if sorted(order) != list(range(rank)):
        raise Kept(f"{operand.label} has a permutation that does not fit its shape")
    operand.value = operand.value.transpose(order)
    if operand.axis is not None:
        operand.axis = order.index(operand.axis)


@dataclass
class Requantization:
    """QuantizeLinear behind a product: its scalars, and the nodes from the product's output to its own."""

    scale: Array
    zero: Array
    output: str
    nodes: list[Node]
    least: int | None = None  # what the nodes between bound the integers by, where the type does not
    greatest: int | None = None


def requantization(scope: Scope, value: str) -> Requantization | None:
    """QuantizeLinear with one scale as the only reader of `value`, or after Relu or Clip; None where there is none."""
    node = scope.only_reader(value)
    bounds = None if node is None else clipping(scope, node, value)
    between: list[Node] = []
    if node is not None and bounds is not None:
        between, value = [node], node.outputs[0]
        node = scope.only_reader(value)
    if node is None or node.domain or node.op_type != "QuantizeLinear" or node.inputs[:1] != [value]:
        return None
    if not any(node.outputs[:1]):
        return None
    scale = scope.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    dtype = output_type(scope, node)
    given = len(node.inputs) > 2 and node.inputs[2] != ""
    zero = scope.constant(node.inputs[2]) if given else np.zeros((), dtype)
    computed = integer(node, "precision") or TensorProto.FLOAT
    if scale is None or zero is None or scale.dtype != F32 or computed != TensorProto.FLOAT or dtype not in BYTES:
        return None
    one = scale.size == zero.size == 1 and scale.ndim <= 1 and zero.ndim <= 1
    if not one or integer(node, "block_size") or not (np.isfinite(scale) & (scale > 0)).all():
        return None
    found = Requantization(scale.reshape(()), zero.reshape(()), node.outputs[0], [*between, node])
    if bounds is not None:
        ends = np.iinfo(dtype)
        least, greatest = (level(bound, found) for bound in bounds)
        found.least = least if least > ends.min else None
        found.greatest = greatest if greatest < ends.max else None
    return found


def level(bound: float, of: Requantization) -> int:
    """A real number as the integer that QuantizeLinear makes of it."""
    quantize = lookup("", "QuantizeLinear", 13)
    return int(quantize([np.array(bound, np.float32), of.scale, of.zero], {})[0])


def clipping(scope: Scope, node: Node, value: str) -> tuple[float, float] | None:
    """The constant bounds between which Relu or Clip keeps `value`."""
    if node.domain or node.inputs[:1] != [value] or not any(node.outputs[:1]):
        return None
    if node.op_type == "Relu":
        return 0.0, np.inf
    if node.op_type != "Clip":
        return None
    if scope.opset(node) < 11:
        ends: list[Any] = [number(node, "min", -np.inf), number(node, "max", np.inf)]
    else:
        ends = [-np.inf, np.inf]
        for i, name in enumerate(node.inputs[1:3]):
            if name:
                bound = scope.constant(name)
                if bound is None or bound.dtype != F32 or bound.ndim:
                    return None
                ends[i] = bound
    low, high = map(float, ends)
    return None if np.isnan(low) or np.isnan(high) else (low, high)
