"""ai.onnx.preview.training: optimizers, and Gradient of small random graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule

DOMAIN = "ai.onnx.preview.training"


@shape_rule("Adagrad", "Adam", "Momentum", domain=DOMAIN)
def optimizer(s: Sketch) -> list[Any]:
    """R, T, then one to three tensors of any types, with gradients and accumulated values of their shapes."""
    s.attribute("mode", "standard", "nesterov")
    for name in ("alpha", "beta"):
        s.attribute(name, 0.9, 0.999, 0.0, 1.0)
    for name in ("norm_coefficient", "norm_coefficient_post", "decay_factor"):
        s.attribute(name, 0.0, 0.001, 0.5)
    s.attribute("epsilon", 1e-6, 1e-2, 0.0)
    shape = s.choose((), (1,))
    rate = np.abs(s.tensor(shape, specials=False)) if s.coin() else s.tensor(shape)
    steps = np.full(s.choose((), (1,)), s.choose(0, 1, 2, 10, 100000, -1), np.int64)
    types = s.row.types("T3")
    kinds: list[list[Any]] = [[], [], [], []][: 4 if s.row.op_type == "Adam" else 3]
    for _ in range(s.integer(1, 3)):
        dims, dtype, positive = s.shape((0, 3), limit=100), s.choose(*types), s.coin()
        for kind, tensors in enumerate(kinds):
            value = s.tensor(dims, dtype)
            tensors.append(np.abs(value) if positive and kind == len(kinds) - 1 else value)
    return [rate, steps, *(tensor for tensors in kinds for tensor in tensors)]


UNARY = (
    *(
        "Neg",
        "Identity",
        "Exp",
        "Log",
        "Sqrt",
        "Reciprocal",
        "Abs",
        "Sin",
        "Cos",
        "Relu",
        "Sigmoid",
        "Tanh",
        "Softplus",
    ),
    *("Softmax", "LogSoftmax", "ReduceSum", "ReduceMean"),
)
BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Sum")


@shape_rule("Gradient", domain=DOMAIN)
def gradient(s: Sketch) -> list[Any]:
    """One or two tensors of floats, perhaps another one; operators that keep shapes broadcastable; y comes last.

    A leading type that has no gradient is that of a tensor in zs which nothing reads.
    """
    floats = s.dtype.kind == "f"
    dtype = s.dtype if floats else np.dtype(np.float32)
    full = s.shape((1, 3), limit=60)
    values = [s.tensor(full if s.coin() else shapes.operand(s.draw, full), dtype) for _ in range(s.integer(1, 2))]
    names = [f"x{i}" for i in range(len(values))]
    pool = list(names)
    s.set("xs", names)
    if not floats or s.coin():
        values.append(s.tensor((2,)))
        s.set("zs", [f"x{len(names)}"])
    for i in range(s.integer(1, 6)):
        op_type, first = s.choose(*UNARY, *BINARY), s.choose(*reversed(pool))
        inputs = [first, s.choose(*pool)] if op_type in BINARY else [first]
        if op_type in ("Softmax", "LogSoftmax"):
            inputs = [row_of(s, first, i, len(full))]
        s.before.append(helper.make_node(op_type, inputs, [f"t{i}"]))
        pool.append(f"t{i}")
    s.set("y", pool[-1])
    s.n_outputs = s.integer(1, len(names))
    return values


def row_of(s: Sketch, name: str, i: int, rank: int) -> str:
    """A value that is no scalar: reshaped into a row of `rank` axes, of which the last alone is not 1."""
    s.before.append(helper.make_node("Constant", [], [f"s{i}"], value_ints=[*[1] * (rank - 1), -1]))
    s.before.append(helper.make_node("ReduceSum", [name], [f"r{i}"], keepdims=0))
    s.before.append(helper.make_node("Reshape", [f"r{i}", f"s{i}"], [f"w{i}"]))
    s.before.append(helper.make_node("Add", [name, f"w{i}"], [f"v{i}"]))
    return f"v{i}"
