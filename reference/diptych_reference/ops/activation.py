"""Activations: Relu and its kin. float16 and bfloat16 compute in binary32 and round once."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.numerics import maximum, minimum
from diptych_reference.operator import Array, operator
from diptych_reference.ops.elementwise import rounded

ONE_SIXTH = np.float32(1) / np.float32(6)  # HardSwish's alpha is a FLOAT attribute of its definition


@operator("Relu", since=(6, 13, 14))
def relu(x: Array) -> Array:
    """`max(x, +0)`: -0 gives +0, NaN stays."""
    return maximum(x, np.zeros((), x.dtype))


@operator("Relu", since=1)
def relu_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Relu with opset 1's memory hint."""
    return relu(x)


@operator("LeakyRelu", since=(6, 16))
def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    """`x` where `x >= 0`, else `rn(alpha * x)`."""
    return rounded(lambda w: np.where(w < 0, w.dtype.type(alpha) * w, w), x)


@operator("LeakyRelu", since=1)
def leaky_relu_1(x: Array, *, alpha: float = 0.01, consumed_inputs: Any = None) -> Array:
    """LeakyRelu with opset 1's memory hint."""
    return leaky_relu(x, alpha=alpha)


@operator("Sigmoid", since=(6, 13))
def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))` as docs/numerics.md, section 3 has it."""
    return rounded(numerics.sigmoid, x)


@operator("Sigmoid", since=1)
def sigmoid_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Sigmoid with opset 1's memory hint."""
    return sigmoid(x)


@operator("Tanh", since=(6, 13))
def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return rounded(numerics.tanh, x)


@operator("Tanh", since=1)
def tanh_1(x: Array, *, consumed_inputs: Any = None) -> Array:
    """Tanh with opset 1's memory hint."""
    return tanh(x)


@operator("Softplus", since=(1, 22))
def softplus(x: Array) -> Array:
    """`log(1 + exp(x))`, stable for large `x`."""
    return rounded(numerics.softplus, x)


@operator("HardSigmoid", since=(6, 22))
def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """`max(0, min(1, rn(rn(alpha * x) + beta)))`."""
    return rounded(lambda w: clamp(w.dtype.type(alpha) * w + w.dtype.type(beta)), x)


@operator("HardSigmoid", since=1)
def hard_sigmoid_1(x: Array, *, alpha: float = 0.2, beta: float = 0.5, consumed_inputs: Any = None) -> Array:
    """HardSigmoid with opset 1's memory hint."""
    return hard_sigmoid(x, alpha=alpha, beta=beta)


@operator("HardSwish", since=(14, 22))
def hard_swish(x: Array) -> Array:
    """`rn(x * HardSigmoid(x))` with alpha = 1/6 (in binary32) and beta = 1/2, not rounded between."""
    return rounded(lambda w: w * clamp(w.dtype.type(ONE_SIXTH) * w + w.dtype.type(0.5)), x)


def clamp(x: Array) -> Array:
    """`max(0, min(1, x))`."""
    return maximum(np.zeros((), x.dtype), minimum(np.ones((), x.dtype), x))
