"""Operators that work element by element, Cast included: any shapes that broadcast together."""

from __future__ import annotations

import math
from typing import Any

from onnx import TensorProto

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array, numpy_dtype, onnx_number

FACTORS = (0.5, 0.0, -1.5, 3.0, 0.01)  # alpha, beta: exact ones, signs, one that rounds


@shape_rule(
    "Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
)  # fmt: skip
def unary(s: Sketch) -> list[Any]:
    """One tensor."""
    x = s.tensor(s.shape())
    for name in ("alpha", "beta", "gamma", "bias", "lambd"):
        s.attribute(name, *FACTORS)
    s.attribute("approximate", "none", "tanh")
    return [x]


@shape_rule("PRelu")
def prelu(s: Sketch) -> list[Any]:
    """X and a slope that broadcasts into it; before opset 7 one number, or one a channel."""
    x = s.shape()
    if s.since >= 7:
        return [s.tensor(x), s.tensor(shapes.operand(s.draw, x) if s.coin() else x)]
    single = s.choose((1,), (), (1, 1))
    return [s.tensor(x), s.tensor(x[1:2] if len(x) > 1 and s.coin() else single)]


@shape_rule("SwiGLU")
def swiglu(s: Sketch) -> list[Any]:
    """A gate and a value of one shape."""
    x = s.shape()
    s.attribute("alpha", *FACTORS)
    return [s.tensor(x), s.tensor(x)]


@shape_rule(
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mul", "Or", "Pow", "Sub", "Xor"
)  # fmt: skip
def binary(s: Sketch) -> list[Any]:
    """Two tensors; before opset 7 the second one's axes are some of the first one's, if `broadcast` is set."""
    second_type = s.input_dtype(list(s.row.inputs)[1])
    full = s.shape()
    if s.since < 7:
        return [s.tensor(full), s.tensor(legacy_operand(s, full), second_type)]
    first, second = broadcast_pair(s, full)
    return [s.tensor(first), s.tensor(second, second_type)]


def broadcast_pair(s: Sketch, full: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast together, mostly to `full`."""
    part = shapes.operand(s.draw, full)
    match s.choose("same", "second", "first", "both"):
        case "second":
            return full, part
        case "first":
            return part, full
        case "both":
            return part, shapes.operand(s.draw, full)
    return full, full


def legacy_operand(s: Sketch, full: tuple[int, ...]) -> tuple[int, ...]:
    """The second operand's shape as opsets 1 to 6 have it: `full`, or with `broadcast=1` a run of its axes."""
    if not s.coin():
        return full
    s.set("broadcast", 1)
    start = s.integer(0, len(full))
    if s.coin():
        return full[start:]
    end = s.integer(start, len(full))
    s.set("axis", start)
    return full[start:end]


@shape_rule("Max", "Min", "Sum")
def variadic(s: Sketch) -> list[Any]:
    """One to four tensors; before opset 8 of one shape."""
    full = s.shape()
    count = s.integer(1, 4)
    return [s.tensor(shapes.operand(s.draw, full) if s.since >= 8 else full) for _ in range(count)]


@shape_rule("Where")
def where(s: Sketch) -> list[Any]:
    """A condition and two tensors that broadcast together."""
    full = s.shape()
    dims = [shapes.operand(s.draw, full) if s.coin() else full for _ in range(3)]
    return [s.tensor(dims[0], "bool"), s.tensor(dims[1]), s.tensor(dims[2])]


@shape_rule("Clip")
def clip(s: Sketch) -> list[Any]:
    """A tensor and bounds: scalars, or attributes before opset 11; they may cross."""
    x = s.tensor(s.shape())
    if s.since < 11:
        s.attribute("min", -1.0, 0.0, 2.5, -math.inf)
        s.attribute("max", 1.0, 0.0, -0.5, 3.0)
        return [x]
    bounds: list[Array | None] = [s.tensor(()) if s.coin() else None for _ in range(2)]
    return [x, *bounds]


@shape_rule("Cast")
def cast(s: Sketch) -> list[Any]:
    """Any type to any other. Strings spell numbers that the target holds."""
    targets = s.row.types("T2")
    target = s.choose(*(t for t in targets if s.dtype != object or t.kind not in "bO"))
    number = onnx_number(target)
    s.set("to", TensorProto.DataType.Name(number) if s.since == 1 else number)
    s.attribute("saturate", 1, 0)
    s.attribute("round_mode", "up", "down", "nearest")
    if s.dtype != object:
        return [s.tensor(s.shape())]
    digits = (
        ("0", "1", "3", "+1") if target.kind in "iu" else ("0", "-0.0", "1.5", "-2e3", "nan", "-INF", ".5", "1e-45")
    )
    x = s.tensor(s.shape(limit=64), numpy_dtype("int32"))
    texts = s.tensor(x.shape, numpy_dtype("string"))
    texts.reshape(-1)[:] = [digits[i % len(digits)] for i in x.reshape(-1).tolist()]
    return [texts]
