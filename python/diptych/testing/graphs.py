"""Random small graphs, grown node by node from live tensors.

Each new node takes tensors that exist and is evaluated at once by the reference, so that its shapes are known and no
draw is in vain. Some values are constants, so that there is something to fold; some are read more than once, so that
memory must not be reused too early; some are never read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper

import diptych_reference
from diptych.testing import shapes, values
from diptych.testing.case import IR_VERSION, declared
from diptych.testing.draws import Draw, Drawn
from diptych.testing.values import Array, numpy_dtype

__all__ = ["GraphCase", "graphs"]

OPSET = 22
LIMIT = 4096  # elements of a tensor


@dataclass(frozen=True)
class GraphCase:
    """A model and what to feed it."""

    model: ModelProto
    feeds: dict[str, Array]

    def expected(self) -> list[Any] | None:
        """The reference's outputs; None where it refuses the graph."""
        try:
            with np.errstate(all="ignore"):
                return list(diptych_reference.ReferenceSession(self.model).run(None, self.feeds))
        except diptych_reference.Error:
            return None

    def __repr__(self) -> str:
        nodes = [f"{', '.join(n.output)} = {n.op_type}({', '.join(n.input)})" for n in self.model.graph.node]
        shapes = {name: list(value.shape) for name, value in self.feeds.items()}
        return f"GraphCase({shapes}; {'; '.join(nodes)} -> {[o.name for o in self.model.graph.output]})"


class Growth:
    """A graph in the making: live tensors with their values, nodes, constants."""

    def __init__(self, draw: Draw, dtype: np.dtype[Any]) -> None:
        self.draw, self.dtype = draw, dtype
        self.live: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self.nodes: list[Any] = []
        self.feeds: dict[str, Array] = {}

    def choose(self, *choices: Any) -> Any:
        """One of `choices`."""
        return self.draw.choose(choices)

    def tensor(self, shape: tuple[int, ...]) -> Array:
        """Moderate numbers, so that values stay numbers through many nodes."""
        return values.tensor(self.draw, self.dtype, shape, specials=False)

    def feed(self, shape: tuple[int, ...]) -> None:
        """A new input, special values included."""
        name = f"in{len(self.feeds)}"
        self.feeds[name] = self.live[name] = values.tensor(self.draw, self.dtype, shape)

    def constant(self, value: Array) -> str:
        """A new initializer."""
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def value(self, name: str) -> Array:
        """The value of a tensor or constant."""
        return self.live[name] if name in self.live else self.constants[name]

    def node(self, op_type: str, inputs: list[str], n_outputs: int = 1, **attributes: Any) -> None:
        """Append a node; its outputs become live."""
        given = [self.value(name) for name in inputs]
        results = diptych_reference.run_operator(op_type, given, attributes, opset=OPSET, n_outputs=n_outputs)
        names = [f"t{len(self.nodes)}_{i}" for i in range(n_outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, **attributes))
        self.live.update(zip(names, results, strict=True))

    def grow(self) -> None:
        """One more node, of an operator that takes the tensor it was drawn for."""
        name = self.choose(*(name for name in reversed(self.live) if self.live[name].dtype == self.dtype))
        x = self.live[name]
        fitting = [step for step, ranks in STEPS if x.ndim in ranks and 0 < x.size <= LIMIT]
        self.choose(*(fitting or [unary]))(self, name)

    def finish(self) -> GraphCase:
        """The model: outputs are what nobody reads and perhaps more."""
        read = {name for node in self.nodes for name in node.input}
        made = [name for node in self.nodes for name in node.output]
        outputs = [name for name in made if name not in read or self.choose(False, False, True)] or made[-1:]
        graph = helper.make_graph(
            self.nodes,
            "grown",
            [declared(name, value) for name, value in self.feeds.items()],
            [declared(name, self.live[name]) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return GraphCase(model, self.feeds)


def unary(g: Growth, name: str) -> None:
    """An elementwise function, or nothing at all."""
    g.node(g.choose("Relu", "Neg", "Identity", "Sigmoid", "Tanh", "Abs", "Sqrt", "Erf", "Exp", "Floor"), [name])


def binary(g: Growth, name: str) -> None:
    """With another tensor of the same shape, with itself, or with a constant that broadcasts; in either order."""
    x = g.live[name]
    partners = [other for other, value in g.live.items() if value.shape == x.shape and value.dtype == g.dtype]
    other = g.choose(*partners) if g.choose(True, False) else g.constant(g.tensor(shapes.operand(g.draw, x.shape)))
    g.node(g.choose("Add", "Mul", "Sub", "Div", "Max", "Min"), list(g.choose((name, other), (other, name))))


def folded(g: Growth, name: str) -> None:
    """An operator on constants alone, then added: there is something to fold."""
    constant = g.constant(g.tensor(g.live[name].shape))
    g.node(g.choose("Neg", "Relu", "Exp"), [constant])
    g.node("Add", [name, next(reversed(g.live))])


def matmul(g: Growth, name: str) -> None:
    """Times a constant matrix, in any place of which another product may share it."""
    depth = g.live[name].shape[-1]
    fitting = [c for c, value in g.constants.items() if value.ndim == 2 and value.shape[0] == depth]
    weight = g.choose(*fitting) if fitting and g.choose(True, False) else None
    g.node("MatMul", [name, weight or g.constant(g.tensor((depth, g.choose(1, 3, 8, 17))))])


def gemm(g: Growth, name: str) -> None:
    """With a bias."""
    n = g.choose(2, 5, 16)
    weight = g.constant(g.tensor((n, g.live[name].shape[1])))
    g.node("Gemm", [name, weight, g.constant(g.tensor((n,)))], transB=1)


def convolution(g: Growth, name: str) -> None:
    """Three by three or one by one, padded, then perhaps normalized."""
    channels, m, k = g.live[name].shape[1], g.choose(2, 4, 17), g.choose(3, 1)
    weight = g.constant(g.tensor((m, channels, k, k)))
    g.node("Conv", [name, weight, g.constant(g.tensor((m,)))], pads=[k // 2] * 4, strides=[g.choose(1, 2)] * 2)


def batch_norm(g: Growth, name: str) -> None:
    """Inference."""
    c = g.live[name].shape[1]
    scale, bias, mean, variance = (g.tensor((c,)) for _ in range(4))
    g.node("BatchNormalization", [name, *map(g.constant, (scale, bias, mean, np.abs(variance)))])


def pool(g: Growth, name: str) -> None:
    """Two by two, or over everything."""
    if g.choose(False, True):
        g.node("GlobalAveragePool", [name])
    else:
        g.node(g.choose("MaxPool", "AveragePool"), [name], kernel_shape=[2, 2], pads=[1, 1, 1, 1])


def softmax(g: Growth, name: str) -> None:
    """Along any axis."""
    g.node("Softmax", [name], axis=shapes.axis(g.draw, g.live[name].ndim))


def layer_norm(g: Growth, name: str) -> None:
    """Over the last axis."""
    n = g.live[name].shape[-1]
    g.node("LayerNormalization", [name, g.constant(g.tensor((n,))), g.constant(g.tensor((n,)))])


def transpose(g: Growth, name: str) -> None:
    """Any permutation; two may cancel."""
    g.node("Transpose", [name], perm=shapes.permutation(g.draw, g.live[name].ndim))


def reshape(g: Growth, name: str) -> None:
    """To a matrix or a vector."""
    lead = g.live[name].shape[0]
    target = g.choose((lead, -1), (-1,), (-1, 1))
    g.node("Reshape", [name, g.constant(np.array(target, dtype=np.int64))])


def reduction(g: Growth, name: str) -> None:
    """Over one axis, which stays as 1."""
    axes = g.constant(np.array([shapes.axis(g.draw, g.live[name].ndim)], dtype=np.int64))
    g.node(g.choose("ReduceMean", "ReduceMax"), [name, axes])


def concat(g: Growth, name: str) -> None:
    """Beside itself."""
    g.node("Concat", [name, name], axis=shapes.axis(g.draw, g.live[name].ndim))


def split(g: Growth, name: str) -> None:
    """In two, one of which may have no reader."""
    n = g.live[name].shape[0]
    lengths = g.constant(np.array([n // 2, n - n // 2], dtype=np.int64))
    g.node("Split", [name, lengths], n_outputs=2, axis=0)


def cast(g: Growth, name: str) -> None:
    """To another type and back."""
    g.node("Cast", [name], to=values.onnx_number(g.choose(np.float64, np.float16, np.int32)))
    g.node("Cast", [next(reversed(g.live))], to=values.onnx_number(g.dtype))


ANY, SOME = range(9), range(1, 9)
STEPS: list[tuple[Callable[[Growth, str], None], range]] = [
    (unary, ANY),
    (binary, ANY),
    (matmul, SOME),
    (softmax, SOME),
    (layer_norm, SOME),
    (transpose, SOME),
    (reshape, SOME),
    (reduction, SOME),
    (concat, SOME),
    (split, SOME),
    (folded, ANY),
    (cast, ANY),
    (gemm, range(2, 3)),
    (convolution, range(4, 5)),
    (batch_norm, range(2, 5)),
    (pool, range(4, 5)),
]


@st.composite
def graphs(draw: Any, dtype: str = "float", nodes: tuple[int, int] = (1, 12)) -> GraphCase:
    """Models of a few nodes on one or two inputs of an ONNX element type (a floating-point one), and their feeds."""
    source = Drawn(draw)
    growth = Growth(source, numpy_dtype(dtype))
    for _ in range(source.integer(1, 2)):
        growth.feed(source.choose(((2, 3), (1, 3, 5, 5), (2, 4, 7), (5,), (2, 17, 4, 4), (33, 16))))
    for _ in range(source.integer(*nodes)):
        growth.grow()
    return growth.finish()
