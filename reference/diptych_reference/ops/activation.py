"""Activations: Relu and its kin. float16 and bfloat16 compute in binary32 and round once."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych_reference import numerics
from diptych_reference.errors import InvalidModelError, ShapeError
from diptych_reference.numerics import fma, is_float, maximum, minimum, to_integer
from diptych_reference.operator import Array, operator
from diptych_reference.ops.elementwise import add, rounded

SQRT_HALF = 0.70710678118654752440  # sqrt(1/2), the nearest binary64
SQRT_TWO_OVER_PI = 0.79788456080286535588
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


@operator("Elu", since=(6, 22))
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """`x` where `x >= 0`, else `rn(alpha * rn(exp(x) - 1))`."""
    return rounded(lambda w: exponential_linear(w, alpha), x)


@operator("Elu", since=1)
def elu_1(x: Array, *, alpha: float = 1.0, consumed_inputs: Any = None) -> Array:
    """Elu with opset 1's memory hint."""
    return elu(x, alpha=alpha)


def exponential_linear(x: Array, alpha: float) -> Array:
    """Elu in the type of `x`."""
    one = x.dtype.type
    return np.where(x < 0, one(alpha) * (numerics.exp(x) - one(1)), x)


@operator("Celu", since=(12, 28))
def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """`max(x, +0) + min(+0, rn(alpha * rn(exp(rn(x / alpha)) - 1)))`."""

    def program(w: Array) -> Array:
        zero = np.zeros((), w.dtype)
        scale = w.dtype.type(alpha)
        below = scale * (numerics.exp(w / scale) - w.dtype.type(1))
        return maximum(w, zero) + minimum(zero, below)

    return rounded(program, x)


@operator("Selu", since=(6, 22))
def selu(x: Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Array:
    """`rn(gamma * Elu(x))`."""
    return rounded(lambda w: w.dtype.type(gamma) * exponential_linear(w, alpha), x)


@operator("Selu", since=1)
def selu_1(x: Array, *, alpha: float = 1.6732, gamma: float = 1.0507, consumed_inputs: Any = None) -> Array:
    """Selu with opset 1's memory hint and shorter constants."""
    return selu(x, alpha=alpha, gamma=gamma)


@operator("Gelu", since=20)
def gelu(x: Array, *, approximate: str = "none") -> Array:
    """`x / 2 * (1 + erf(x * sqrt(1/2)))`, or with "tanh" `x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))`.

    For large negative `x` the sum cancels: the error is some 2^-23 |x|, however small the result.
    """
    if approximate not in ("none", "tanh"):
        raise InvalidModelError(f"approximate is {approximate!r}, expected 'none' or 'tanh'")
    inner = numerics.erf if approximate == "none" else numerics.tanh

    def program(w: Array) -> Array:
        one = w.dtype.type
        if approximate == "none":
            argument = w * one(SQRT_HALF)
        else:
            argument = one(SQRT_TWO_OVER_PI) * (w * fma(np.full_like(w, 0.044715), w * w, np.ones_like(w)))
        return np.asarray(w * one(0.5) * (one(1) + inner(argument)))

    return rounded(program, x)


@operator("Mish", since=(18, 22))
def mish(x: Array) -> Array:
    """`rn(x * tanh(softplus(x)))`, rounded between in binary32 for the 16-bit types."""
    return rounded(lambda w: w * numerics.tanh(numerics.softplus(w)), x)


@operator("Softsign", since=(1, 22))
def softsign(input: Array) -> Array:
    """`rn(x / rn(1 + abs(x)))`."""
    return rounded(lambda x: x / (x.dtype.type(1) + np.abs(x)), input)


@operator("Swish", since=24)
def swish(x: Array, *, alpha: float = 1.0) -> Array:
    """`rn(x * sigmoid(rn(alpha * x)))`."""
    return rounded(lambda w: gated(w, alpha), x)


@operator("SwiGLU", since=28)
def swi_glu(a: Array, b: Array, *, alpha: float = 1.0) -> Array:
    """`rn(Swish(a) * b)`. The shapes are equal: nothing broadcasts."""
    if a.shape != b.shape:
        raise ShapeError(f"A and B have shapes {list(a.shape)} and {list(b.shape)}, expected one shape")
    return rounded(lambda gate, value: gated(gate, alpha) * value, a, b)


def gated(x: Array, alpha: float) -> Array:
    """Swish in the type of `x`."""
    return np.asarray(x * numerics.sigmoid(x.dtype.type(alpha) * x))


@operator("ThresholdedRelu", since=(10, 22))
def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """`x` where `x > alpha`, else +0 (of NaN too)."""
    return rounded(lambda w: np.where(w > w.dtype.type(alpha), w, w.dtype.type(0)), x)


@operator("Shrink", since=9)
def shrink(input: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """`x + bias` where `x < -lambd`, else `x - bias` where `x > lambd`, else +0 (of NaN too).

    Integers compute in binary64 and are then cut off toward zero; with a bias of 0, what stays is `x` itself.
    """
    if is_float(input.dtype):
        return rounded(lambda x: shrunk(x, x.dtype.type(bias), x.dtype.type(lambd)), input)
    wide = input.astype(np.float64)
    shifted = shrunk(wide, np.float64(bias), np.float64(lambd))
    if bias == 0:
        return np.where(np.abs(shifted) > 0, input, np.zeros_like(input))
    return to_integer(shifted, input.dtype)


def shrunk(x: Array, bias: Any, lambd: Any) -> Array:
    """Shrink in the type of `x`."""
    return np.asarray(np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, x.dtype.type(0))))


@operator("PRelu", since=(7, 9, 16))
def p_relu(x: Array, slope: Array) -> Array:
    """`x` where `x >= 0`, else `rn(slope * x)`. The slope broadcasts into `x`; integers wrap."""
    if np.broadcast_shapes(x.shape, slope.shape) != x.shape:
        raise ShapeError(f"slope of shape {list(slope.shape)} does not broadcast into X of shape {list(x.shape)}")
    return rounded(lambda w, s: np.where(w < 0, s * w, w), x, slope)


@operator("PRelu", since=6)
def p_relu_6(x: Array, slope: Array) -> Array:
    """PRelu with one slope, or one for each channel (axis 1)."""
    if slope.size == 1:
        return p_relu(x, slope.reshape(()))
    if x.ndim < 2 or slope.shape != x.shape[1:2]:
        raise ShapeError(
            f"slope has shape {list(slope.shape)}, expected one number or one a channel of {list(x.shape)}"
        )
    return p_relu(x, slope.reshape(-1, *(1,) * (x.ndim - 2)))


@operator("PRelu", since=1)
def p_relu_1(x: Array, slope: Array, *, consumed_inputs: Any = None) -> Array:
    """PRelu with opset 1's memory hint."""
    return p_relu_6(x, slope)


# Of com.microsoft: activations with the addition before them


@operator("Gelu", since=1, domain="com.microsoft")
def microsoft_gelu(x: Array) -> Array:
    """Gelu with erf."""
    return gelu(x)


@operator("BiasGelu", since=1, domain="com.microsoft")
def bias_gelu(a: Array, b: Array) -> Array:
    """`Gelu(Add(a, b))`; `b` has one number for each place of `a`'s last axis."""
    return gelu(add_bias(a, b))


@operator("FastGelu", since=1, domain="com.microsoft")
def fast_gelu(x: Array, bias: Array | None = None) -> Array:
    """Gelu with tanh of `Add(x, bias)`, or of `x`; `bias` has one number for each place of `x`'s last axis."""
    return gelu(x if bias is None else add_bias(x, bias), approximate="tanh")


@operator("QuickGelu", since=1, domain="com.microsoft")
def quick_gelu(x: Array, *, alpha: float = 1.702) -> Array:
    """`rn(x * sigmoid(rn(alpha * x)))`: Swish with another default."""
    return swish(x, alpha=alpha)


def add_bias(x: Array, bias: Array) -> Array:
    """`Add(x, bias)`, rounded to the type of `x`."""
    if x.ndim == 0 or bias.shape != x.shape[-1:]:
        raise ShapeError(f"bias has shape {list(bias.shape)}, expected the last axis of {list(x.shape)} alone")
    return add(x, bias)
