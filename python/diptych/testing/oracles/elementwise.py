"""Oracles of operators that work element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    NARROW,
    ORACLES,
    WIDE,
    Expected,
    chained,
    moves,
    mp,
    of_ulps,
    oracle,
    rounded_once,
    spacing,
    tiny,
    unit,
    wide,
)
from diptych.testing.values import Array


def logistic(x: Array) -> Array:
    """`1 / (1 + e^-x)` without overflow."""
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-np.abs(x))))


def softplus(x: Array) -> Array:
    """`log(1 + e^x)` without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


EXACT: dict[str, Callable[..., Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Sqrt": np.sqrt, "Abs": np.abs,
    "Neg": np.negative, "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint, "Reciprocal": lambda x: 1 / x,
    "Sign": np.sign, "Relu": lambda x: np.maximum(x, 0),
}  # fmt: skip
# Function, ULPs in binary32, ULPs in binary64 (docs/numerics.md, 3.5).
FUNCTIONS: dict[str, tuple[Callable[..., Array], float, float]] = {
    "Exp": (np.exp, 2, 1), "Log": (np.log, 2, 1), "Sin": (np.sin, 1, 1), "Cos": (np.cos, 1, 1),
    "Tanh": (np.tanh, 2, 1.5), "Erf": (mp(mpmath.erf), 2, 1.5),
    "Sigmoid": (logistic, 2.5, 2), "Softplus": (softplus, 2, 2), "Tan": (mp(mpmath.tan), 1, 1.5),
    "Asin": (np.arcsin, 1, 1), "Acos": (np.arccos, 1, 1), "Atan": (np.arctan, 1, 1),
    "Sinh": (np.sinh, 1, 1.5), "Cosh": (np.cosh, 1, 1.5),
    "Asinh": (np.arcsinh, 1, 1), "Acosh": (np.arccosh, 1, 1), "Atanh": (np.arctanh, 1, 1),
}  # fmt: skip


for name, program in EXACT.items():
    ORACLES[name] = rounded_once(program, signed_zeros=name not in ("Sign", "Relu"))
for name, (program, single, double) in FUNCTIONS.items():
    ORACLES[name] = of_ulps(program, single, double)


@oracle("Cast", "CastLike")
def cast(case: Case) -> list[Expected | None] | None:
    """To a float: rounded once."""
    names = {1: np.float32, 10: np.float16, 11: np.float64, 16: ml_dtypes.bfloat16}
    target = names.get(case.attributes["to"]) if case.op_type == "Cast" else case.inputs[1].dtype
    if target is None or np.dtype(target) not in map(np.dtype, names.values()):
        return None
    exact = wide(case.inputs[0])
    return [Expected(exact, 0 if np.dtype(target).name in NARROW else spacing(exact, target) * WIDE(0.5000001), True)]


@oracle("Pow")
def power(case: Case) -> list[Expected | None] | None:
    """One ULP between floats; integers and 64-bit exponents have no oracle."""
    x, y = case.inputs
    if "broadcast" in case.attributes or x.dtype.kind in "iu" or (y.dtype.kind in "iu" and y.dtype.itemsize == 8):
        return None
    return of_ulps(np.power, 1, 1)(case)


@oracle("LeakyRelu")
def leaky_relu(case: Case) -> list[Expected | None] | None:
    """One rounding."""
    alpha = WIDE(np.float32(case.attributes.get("alpha", 0.01)))
    return rounded_once(lambda x: np.where(x < 0, alpha * x, x))(case)


@oracle("HardSigmoid", "HardSwish")
def hard_sigmoid(case: Case) -> list[Expected | None]:
    """A line of two roundings, clamped; HardSwish multiplies by x."""
    swish = case.op_type == "HardSwish"
    alpha = WIDE(np.float32(case.attributes.get("alpha", np.float32(1 / 6) if swish else 0.2)))
    beta = WIDE(np.float32(case.attributes.get("beta", 0.5)))
    x = wide(case.inputs[0])
    u = unit(case.inputs[0].dtype)
    line = alpha * x + beta
    slack = 2 * u * (np.abs(alpha * x) + np.abs(beta)) + tiny(case.inputs[0].dtype, 2)
    clamped = np.clip(line, 0, 1)
    if swish:
        return [Expected(x * clamped, np.abs(x) * (np.minimum(slack, 1) + u * 2) + tiny(case.inputs[0].dtype))]
    return [Expected(clamped, slack)]


@oracle("Sum")
def variadic_sum(case: Case) -> list[Expected | None]:
    """A chain of additions."""
    terms = np.broadcast_arrays(*map(wide, case.inputs))
    total, magnitude = (np.asarray(sum(t)) for t in (terms, map(np.abs, terms)))
    return [chained(total, magnitude, len(terms), case.inputs[0].dtype)]


@oracle("Mean")
def variadic_mean(case: Case) -> list[Expected | None]:
    """A chain of additions and a division."""
    terms = np.broadcast_arrays(*map(wide, case.inputs))
    count, dtype = len(terms), case.inputs[0].dtype
    total = chained(np.asarray(sum(terms)), np.asarray(sum(map(np.abs, terms))), count, dtype)
    rounding = spacing(total.exact / count, np.float64 if dtype == np.float64 else np.float32)
    return [Expected(total.exact / count, total.slack / count + rounding)]


@oracle("Mod")
def rest(case: Case) -> list[Expected | None] | None:
    """Exact with fmod=1, rounded once with fmod=0: in rational numbers, whatever the exponents are."""
    a, b = np.broadcast_arrays(*map(wide, case.inputs))
    dtype = case.inputs[0].dtype
    exact = np.vectorize(rational_rest, otypes=[WIDE])(a, b, bool(case.attributes.get("fmod", 0)))
    computed = np.float64 if dtype == np.float64 else np.float32
    slack = 0 if case.attributes.get("fmod") else spacing(exact, computed) * WIDE(0.5000001)
    return [Expected(exact, slack, signed_zeros=True)]


def rational_rest(a: np.longdouble, b: np.longdouble, truncates: bool) -> np.longdouble:
    """`a - floor(a / b) * b`, or with truncation, by ONNX's text; the zeros that it leaves open have the sign of a."""
    if np.isnan(a) or np.isnan(b) or np.isinf(a) or b == 0:
        return WIDE(np.nan)
    if np.isinf(b):
        same = np.signbit(a) == np.signbit(b)
        return a if truncates or (same and a != 0) else WIDE(np.copysign(WIDE(0), b)) if a == 0 else b
    x, y = Fraction(*a.as_integer_ratio()), Fraction(*b.as_integer_ratio())
    value = x - (math.trunc(x / y) if truncates else math.floor(x / y)) * y
    if value == 0:
        return WIDE(np.copysign(WIDE(0), a if truncates else b))
    high = float(value)
    return WIDE(high) + WIDE(float(value - Fraction(high)))


@oracle("Range")
def progression(case: Case) -> list[Expected | None]:
    """`start + i delta`: a product and a sum."""
    start, limit, delta = (value.reshape(()) for value in map(wide, case.inputs))
    dtype = case.inputs[0].dtype
    count = max(0, math.ceil(float((limit - start).astype(np.float64) / delta.astype(np.float64))))
    i = np.arange(count).astype(WIDE)
    return [Expected(start + i * delta, unit(dtype) * (np.abs(i * delta) + np.abs(start + i * delta)) * WIDE(1.01))]


moves(
    "And", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Clip", "Equal", "Greater",
    "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Max", "Min", "Not", "Or", "Where", "Xor",
)  # fmt: skip
