"""Activations, elementary functions, arithmetic, logic, bits, casts: the states of a transformer, 128 x 768."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .case import OperatorCase, Value, Weight, fixed, integers, normal, positive, uniform

STATES = (128, 768)

ACTIVATIONS = (
    *("Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu", "Selu", "Shrink", "Sigmoid"),
    *("Softplus", "Softsign", "Tanh", "ThresholdedRelu"),
)
FUNCTIONS: dict[str, Value] = {
    **dict.fromkeys(("Abs", "Asinh", "Atan", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor"), normal(*STATES)),
    **dict.fromkeys(("Neg", "Round", "Sign", "Sin", "Sinh", "Tan"), normal(*STATES)),
    **dict.fromkeys(("Acos", "Asin", "Atanh"), uniform(-1, 1, *STATES)),
    **dict.fromkeys(("Log", "Reciprocal", "Sqrt"), positive(*STATES)),
    "Acosh": positive(*STATES, least=1),
}
OPERANDS: dict[str, Value] = {
    "same shape": positive(*STATES),
    "scalar": positive(),
    "row": positive(768),
    "column": positive(128, 1),
}
BOOLEANS = integers(0, 2, *STATES, dtype=np.bool_)
BYTES = integers(0, 256, *STATES, dtype=np.uint8)
INT32, FLOAT16, FLOAT64, UINT8 = 6, 10, 11, 2  # TensorProto's numbers


def cases() -> Iterator[OperatorCase]:
    """All of them."""
    for op_type in ACTIVATIONS:
        yield OperatorCase(op_type, "states", (normal(*STATES),))
    for op_type, values in FUNCTIONS.items():
        yield OperatorCase(op_type, "states", (values,))
    yield OperatorCase("PRelu", "slope a channel", (normal(1, 64, 28, 28), Weight(positive(64, 1, 1))))
    yield OperatorCase("Swish", "states", (normal(*STATES),), opset=24)
    yield OperatorCase("SwiGLU", "states", (normal(*STATES), normal(*STATES)), opset=28)
    yield OperatorCase("Clip", "ReLU6", (normal(*STATES), Weight(fixed(0, np.float32)), Weight(fixed(6, np.float32))))
    for op_type in ("FastGelu", "Gelu", "QuickGelu"):
        yield OperatorCase(op_type, "states", (normal(*STATES),), domain="com.microsoft", opset=1)
    yield OperatorCase("BiasGelu", "states", (normal(*STATES), Weight(normal(768))), domain="com.microsoft", opset=1)
    yield from arithmetic()
    yield from logic()
    yield from casts()


def arithmetic() -> Iterator[OperatorCase]:
    """Two operands that broadcast, several of one shape, remainders."""
    for op_type in ("Add", "Div", "Pow"):
        for label, operand in OPERANDS.items():
            yield OperatorCase(op_type, label, (positive(*STATES), operand))
    for op_type in ("Mul", "Sub"):
        yield OperatorCase(op_type, "row", (normal(*STATES), OPERANDS["row"]))
    for op_type in ("Max", "Mean", "Min", "Sum"):
        yield OperatorCase(op_type, "three tensors", (normal(*STATES),) * 3)
    yield OperatorCase("Mod", "int64", (integers(-999, 999, *STATES), integers(1, 99, 768)))
    yield OperatorCase("Mod", "fmod", (normal(*STATES), OPERANDS["row"]), {"fmod": 1})


def logic() -> Iterator[OperatorCase]:
    """Comparisons, connectives, selection, bits."""
    for op_type in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        yield OperatorCase(op_type, "row", (normal(*STATES), normal(768)))
    for op_type in ("And", "Or", "Xor"):
        yield OperatorCase(op_type, "masks", (BOOLEANS, BOOLEANS))
    yield OperatorCase("Not", "mask", (BOOLEANS,))
    for op_type in ("IsInf", "IsNaN"):
        yield OperatorCase(op_type, "states", (normal(*STATES),))
    yield OperatorCase("Where", "mask", (BOOLEANS, normal(*STATES), Weight(fixed(-1e9, np.float32))))
    for op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        yield OperatorCase(op_type, "bytes", (BYTES, BYTES))
    yield OperatorCase("BitwiseNot", "bytes", (BYTES,))
    yield OperatorCase("BitShift", "bytes", (BYTES, integers(0, 8, *STATES, dtype=np.uint8)), {"direction": "RIGHT"})


def casts() -> Iterator[OperatorCase]:
    """From float32 and back from float16, by a number and by a tensor of the type."""
    targets: dict[str, tuple[int, Any]] = {
        "float16": (FLOAT16, np.float32),
        "float64": (FLOAT64, np.float32),
        "int64": (7, np.float32),
        "uint8": (UINT8, np.float32),
        "float32 of float16": (1, np.float16),
    }
    for label, (number, dtype) in targets.items():
        values = uniform(0, 255, *STATES, dtype=dtype)
        yield OperatorCase("Cast", label, (values,), {"to": number})
    yield OperatorCase("CastLike", "float16", (normal(*STATES), normal(1, dtype=np.float16)))
    yield OperatorCase("BitCast", "int32", (normal(*STATES),), {"to": INT32}, opset=26)
