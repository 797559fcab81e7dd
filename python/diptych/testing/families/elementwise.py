"""Operators that work element by element, Cast included: any shapes that broadcast together."""

from __future__ import annotations

import math
from typing import Any

from onnx import TensorProto

from diptych.testing import shapes
from diptych.testing.sketch import Sketch, shape_rule
from diptych.testing.values import Array, is_floating, numpy_dtype, onnx_name, onnx_number

FACTORS = (0.5, 0.0, -1.5, 3.0, 0.01)  # alpha, beta: exact ones, signs, one that rounds


@shape_rule(
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf",
    "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not",
    "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt",
    "Swish", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip
def unary(s: Sketch) -> list[Any]:
    """One tensor."""
    x = s.tensor(s.shape())
    for name in ("alpha", "beta", "gamma", "bias", "lambd"):
        s.attribute(name, *FACTORS)
    for name in ("detect_negative", "detect_positive"):
        s.attribute(name, 0, 1)
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


@shape_rule("Gelu", "QuickGelu", domain="com.microsoft")
def microsoft_gelu(s: Sketch) -> list[Any]:
    """One tensor."""
    s.attribute("alpha", *FACTORS)
    return [s.tensor(s.shape())]


@shape_rule("BiasGelu", "FastGelu", domain="com.microsoft")
def bias_gelu(s: Sketch) -> list[Any]:
    """A tensor of one axis at least, and a bias for the last; FastGelu's may be absent."""
    x = s.shape((1, 4))
    absent = s.row.op_type == "FastGelu" and s.coin()
    return [s.tensor(x), None if absent else s.tensor(x[-1:])]


@shape_rule(
    "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Mul", "Or", "Pow", "Sub", "Xor",
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


@shape_rule("Mod")
def mod(s: Sketch) -> list[Any]:
    """Two tensors that broadcast; before opset 28 floats need fmod=1. Quotients are great and small, and whole."""
    if is_floating(s.dtype) and s.since < 28:
        s.set("fmod", 1)
    else:
        s.attribute("fmod", 0, 1)
    first, second = broadcast_pair(s, s.shape())
    return [s.tensor(first), s.tensor(second)]


@shape_rule("BitShift")
def bit_shift(s: Sketch) -> list[Any]:
    """Two tensors that broadcast; most counts are about the width of the type, some of them are negative."""
    s.set("direction", s.choose("RIGHT", "LEFT"))
    first, second = broadcast_pair(s, s.shape())
    x, counts = s.tensor(first), s.tensor(second)
    if s.coin():
        width = 8 * s.dtype.itemsize
        counts = (counts % s.dtype.type(width + 2)).astype(s.dtype)
        if s.dtype.kind == "i" and s.coin():
            counts = counts - s.dtype.type(1)
    return [x, counts]


@shape_rule("BitCast")
def bit_cast(s: Sketch) -> list[Any]:
    """One tensor and another type of as many bits."""
    width = value_bits(s.dtype)
    s.set("to", onnx_number(s.choose(*(dtype for dtype in s.row.types("T2") if value_bits(dtype) == width))))
    x = s.tensor(s.shape())
    return [x]


def value_bits(dtype: Any) -> int:
    """Bits of an element."""
    name = onnx_name(dtype)
    small = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2, "string": 0}
    return small.get(name, 8 * int(dtype.itemsize))


@shape_rule("Max", "Mean", "Min", "Sum")
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
    return [castable(s, target)]


@shape_rule("CastLike")
def cast_like(s: Sketch) -> list[Any]:
    """As Cast; of the second input only the type matters."""
    targets = s.row.types("T2")
    target = s.choose(*(t for t in targets if s.dtype != object or t.kind not in "bO"))
    s.attribute("saturate", 1, 0)
    s.attribute("round_mode", "up", "down", "nearest")
    return [castable(s, target), s.tensor(s.shape(limit=16), target)]


def castable(s: Sketch, target: Any) -> Array:
    """A tensor that has a meaning as `target`."""
    if s.dtype != object:
        return s.tensor(s.shape())
    digits = (
        ("0", "1", "3", "+1") if target.kind in "iu" else ("0", "-0.0", "1.5", "-2e3", "nan", "-INF", ".5", "1e-45")
    )
    x = s.tensor(s.shape(limit=64), numpy_dtype("int32"))
    texts = s.tensor(x.shape, numpy_dtype("string"))
    texts.reshape(-1)[:] = [digits[i % len(digits)] for i in x.reshape(-1).tolist()]
    return texts
