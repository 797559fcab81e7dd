"""Oracles of activations (docs/numerics.md, Activations: its table of errors)."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import (
    WIDE,
    Expected,
    evaluation_factor,
    moves,
    mp,
    oracle,
    rounded_once,
    spacing,
    tiny,
    unit,
    wide,
)
from diptych.testing.oracles.elementwise import logistic
from diptych.testing.oracles.normalization import sum_of
from diptych.testing.values import Array


def factor(case: Case, name: str, default: float) -> Any:
    """A FLOAT attribute."""
    return WIDE(np.float32(case.attributes.get(name, default)))


def largest_exponent(dtype: Any) -> float:
    """Beyond it the exponential overflows in the type that `dtype` computes in."""
    return 700.0 if np.dtype(dtype) == np.float64 else 88.0


def exponential_linear(x: Array, alpha: Any, dtype: Any) -> tuple[Array, Array]:
    """Elu and its bound: the exponential, the difference, the product."""
    u = unit(dtype)
    e = np.exp(np.minimum(x, 0))
    y = np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x)
    slack = np.abs(alpha) * (4 * u * e + 2.1 * u * np.abs(e - 1)) + tiny(dtype, 2)
    return y, np.where(x < 0, slack * evaluation_factor(), 0)


@oracle("Elu")
def elu(case: Case) -> list[Expected | None]:
    """`exponential_linear` itself."""
    y, slack = exponential_linear(wide(case.inputs[0]), factor(case, "alpha", 1.0), case.inputs[0].dtype)
    return [Expected(y, slack)]


@oracle("Selu")
def selu(case: Case) -> list[Expected | None]:
    """`exponential_linear`, its two factors in the digits of the version, and one product."""
    long, dtype = case.opset >= 6, case.inputs[0].dtype
    alpha = factor(case, "alpha", 1.67326319 if long else 1.6732)
    gamma = factor(case, "gamma", 1.05070102 if long else 1.0507)
    y, slack = exponential_linear(wide(case.inputs[0]), alpha, dtype)
    return [Expected(gamma * y, np.abs(gamma) * slack + 1.1 * unit(dtype) * np.abs(gamma * y) + tiny(dtype))]


@oracle("Celu")
def celu(case: Case) -> list[Expected | None]:
    """The quotient before the exponential stretches its error by |t|."""
    x, alpha, dtype = wide(case.inputs[0]), factor(case, "alpha", 1.0), case.inputs[0].dtype
    u, t = unit(dtype), x / alpha
    e = np.exp(t)
    below = alpha * np.expm1(t)
    y = np.maximum(x, 0) + np.minimum(0, below)
    slack = np.abs(alpha) * (e * u * (1.1 * np.abs(t) + 4) + 2.1 * u * np.abs(e - 1)) + u * np.abs(y)
    slack = np.where(below < 0, slack * evaluation_factor(), u * np.abs(y)) + tiny(dtype, 2 + 2 * float(np.abs(alpha)))
    # Where the exponential overflows, it is infinite in the program alone.
    return [Expected(y, np.where((t > largest_exponent(dtype)) & (below < 0), np.inf, slack))]


@oracle("Gelu")
def gelu(case: Case) -> list[Expected | None]:
    """By erfc, or with tanh as ONNX's text has it; errors are of terms the size of x."""
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    u = unit(dtype)
    if case.attributes.get("approximate", "none") == "none":
        tail = mp(lambda v: v * mpmath.erfc(-v / mpmath.sqrt(2)) / 2)(np.clip(x, -100, 100))
        y = np.where(np.abs(x) < 100, tail, np.where(x < 0, np.where(np.isinf(x), np.nan, -0.0), x))
    else:
        c = WIDE(2) / WIDE("3.14159265358979323846264338327950288")
        v = np.sqrt(c) * (x + WIDE("0.044715") * x * x * x)
        y = x / (1 + np.exp(-2 * v))
    slack = 3.2 * u * np.abs(x) + 2.2 * u * np.abs(y) + tiny(dtype, 4)
    return [Expected(y, slack * evaluation_factor())]


@oracle("Mish")
def mish(case: Case) -> list[Expected | None]:
    """`x tanh(softplus(x))` as a quotient, which needs no cancellation."""
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    e = np.exp(np.minimum(x, 40))
    n = e * (e + 2)  # tanh(log(1 + e)) = n / (n + 2)
    y = x * (n / (n + 2))
    computed = np.float64 if dtype == np.float64 else np.float32
    return [Expected(y, (6 * spacing(y, computed) + np.abs(x) * tiny(dtype, 3)) * evaluation_factor())]


@oracle("BiasGelu", "FastGelu")
def bias_gelu(case: Case) -> list[Expected | None]:
    """Gelu of a sum that has the bits that IEEE 754 says."""
    approximate = "tanh" if case.op_type == "FastGelu" else "none"
    return gelu(Case("Gelu", "", 20, (sum_of(*case.inputs),), {"approximate": approximate}, 1))


def swish_of(x: Array, alpha: Any, dtype: Any) -> tuple[Array, Array]:
    """Swish and its bound."""
    u, t = unit(dtype), alpha * x
    s = logistic(t)
    y = x * s
    conditioned = np.where(np.isfinite(t), np.abs(t) * (1 - s), 0)
    slack = np.abs(y) * u * (1.1 * conditioned + 6) + np.abs(x) * tiny(dtype, 3) + tiny(dtype, 2)
    return y, slack * evaluation_factor()


@oracle("Swish")
def swish(case: Case) -> list[Expected | None]:
    """`swish_of` with alpha."""
    return [Expected(*swish_of(wide(case.inputs[0]), factor(case, "alpha", 1.0), case.inputs[0].dtype))]


@oracle("QuickGelu")
def quick_gelu(case: Case) -> list[Expected | None]:
    """`swish_of` with the alpha of com.microsoft."""
    return [Expected(*swish_of(wide(case.inputs[0]), factor(case, "alpha", 1.702), case.inputs[0].dtype))]


@oracle("SwiGLU")
def swiglu(case: Case) -> list[Expected | None]:
    """Swish of A, times B."""
    a, b, dtype = wide(case.inputs[0]), wide(case.inputs[1]), case.inputs[0].dtype
    gate, slack = swish_of(a, factor(case, "alpha", 1.0), dtype)
    y = gate * b
    return [Expected(y, np.abs(b) * slack + 1.1 * unit(dtype) * np.abs(y) + tiny(dtype, 2))]


@oracle("Softsign")
def softsign(case: Case) -> list[Expected | None]:
    """Two roundings; zeros keep their sign."""
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    y = x / (1 + np.abs(x))
    return [Expected(y, 2.1 * unit(dtype) * np.abs(y) + tiny(dtype), signed_zeros=True)]


@oracle("Shrink")
def shrink(case: Case) -> list[Expected | None]:
    """One rounding."""
    bias, lambd = factor(case, "bias", 0.0), factor(case, "lambd", 0.5)
    program = rounded_once(lambda x: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)))
    return list(program(case) or [])


@oracle("PRelu")
def prelu(case: Case) -> list[Expected | None]:
    """One rounding; the slope broadcasts as its version says."""
    x, slope = case.inputs
    if case.opset < 7:
        slope = slope.reshape(()) if slope.size == 1 else slope.reshape(-1, *(1,) * (x.ndim - 2))
    program = rounded_once(lambda a, b: np.where(a < 0, b * a, a))
    return list(program(Case("PRelu", "", 16, (x, slope), {}, 1)) or [])


moves("Hardmax", "ThresholdedRelu")
