"""What an operator should give, in wider arithmetic than its own, and how far its rounding program may lie from that.

Oracles return `Expected(exact, slack)`: values in x87 long double (or in binary64 where said) and an absolute bound
from a forward error analysis: gamma_h |A||B| for chains of h roundings, ULPs for functions, sums of both for
composites. The result's own rounding is added by `bounded`. A bound that is no longer meaningful (overflow, a variance
lost in cancellation) is infinite, which leaves only the classes to compare: NaN where the oracle has NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import mpmath
import numpy as np

import diptych_reference
from diptych.testing import Case
from diptych.testing.values import Array

WIDE = np.longdouble
NARROW = ("float16", "bfloat16")
SUBNORMAL = 2.0**-148  # twice the least of binary32


@dataclass
class Expected:
    """Exact values and an absolute bound of what was computed before the last rounding to the output's type."""

    exact: Array
    slack: Array | float = 0.0


Oracle = Callable[[Case], list[Expected | None] | None]
ORACLES: dict[str, Oracle] = {}


def oracle(*op_types: str) -> Callable[[Oracle], Oracle]:
    """Register the oracle of some operators."""

    def register(function: Oracle) -> Oracle:
        ORACLES.update(dict.fromkeys(op_types, function))
        return function

    return register


# Numbers


def wide(x: Any) -> Array:
    """Exactly the same numbers in long double."""
    array = np.asarray(x)
    return (array.astype(np.float32) if array.dtype.name == "bfloat16" else array).astype(WIDE)


def unit(dtype: Any) -> float:
    """Unit roundoff of the type that a program of this type computes in."""
    return 2.0**-53 if np.dtype(dtype) == np.float64 else 2.0**-24


def spacing(exact: Array, dtype: Any) -> Array:
    """The distance of neighbouring numbers of `dtype` around `exact`."""
    info = ml_dtypes.finfo(dtype)
    _, exponent = np.frexp(np.where(np.isfinite(exact), exact, WIDE(1)))
    least = int(np.frexp(WIDE(info.smallest_subnormal))[1]) - 1
    return np.ldexp(WIDE(1), np.maximum(exponent - (info.nmant + 1), least))


def gamma(h: float, dtype: Any) -> float:
    """The bound of h roundings in a row."""
    product = h * unit(dtype)
    return product / (1 - product)


def tiny(dtype: Any, h: float = 1) -> float:
    """What h roundings near zero can lose besides."""
    return h * float(ml_dtypes.finfo(np.float64 if np.dtype(dtype) == np.float64 else np.float32).smallest_subnormal)


def lane_depth(n: int) -> int:
    """Roundings on the way of a term through a lane sum of n terms."""
    chunks = -(-n // 4096)
    return -(-min(n, 4096) // 16) + 4 + (lane_depth(chunks) if chunks > 1 else 0)


def bounded(expected: Expected, dtype: Any) -> Array:
    """The bound of the result: what came before, and half a unit of the last place for the rounding to `dtype`."""
    slack = np.broadcast_to(np.asarray(expected.slack, WIDE), expected.exact.shape)
    if np.dtype(dtype).name in NARROW:
        slack = slack + spacing(np.abs(expected.exact) + slack, dtype) * WIDE(0.5000001)
    return slack


# One rounding, and functions of bounded ULPs


def rounded_once(program: Callable[..., Array]) -> Oracle:
    """One operation on up to two operands."""

    def evaluate(case: Case) -> list[Expected | None] | None:
        if "broadcast" in case.attributes:  # as opsets 1 to 6 had it
            return None
        exact = np.asarray(program(*map(wide, case.inputs)))
        dtype = case.inputs[0].dtype
        computed = np.float64 if dtype == np.float64 else np.float32
        return [Expected(exact, spacing(exact, computed) * WIDE(0.5000001))]

    return evaluate


def mp(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A function of mpmath on arrays, with 100 bits."""

    def scalar(x: Any) -> Any:
        with mpmath.workprec(100):
            value = function(mpmath.mpf(float(x)))  # every input is a binary64 number
            high = float(value)
            return WIDE(high) + WIDE(float(value - high)) if math.isfinite(high) else WIDE(high)

    return np.vectorize(scalar, otypes=[WIDE])


def logistic(x: Array) -> Array:
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-np.abs(x))))


def softplus(x: Array) -> Array:
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
    "Sigmoid": (logistic, 2.5, 2), "Softplus": (softplus, 2, 2),
}  # fmt: skip


def of_ulps(program: Callable[..., Array], single: float, double: float) -> Oracle:
    """A function within some units in the last place of the type it is computed in."""

    def evaluate(case: Case) -> list[Expected | None]:
        dtype = case.inputs[0].dtype
        exact = np.asarray(program(*map(wide, case.inputs)))
        ulps = double if dtype == np.float64 else single
        return [Expected(exact, spacing(exact, np.float64 if dtype == np.float64 else np.float32) * WIDE(ulps))]

    return evaluate


for name, program in EXACT.items():
    ORACLES[name] = rounded_once(program)
for name, (program, single, double) in FUNCTIONS.items():
    ORACLES[name] = of_ulps(program, single, double)


@oracle("Cast")
def cast(case: Case) -> list[Expected | None] | None:
    """To a float: rounded once."""
    names = {1: np.float32, 10: np.float16, 11: np.float64, 16: ml_dtypes.bfloat16}
    target = names.get(case.attributes["to"])
    if target is None:
        return None
    exact = wide(case.inputs[0])
    return [Expected(exact, 0 if np.dtype(target).name in NARROW else spacing(exact, target) * WIDE(0.5000001))]


@oracle("Pow")
def power(case: Case) -> list[Expected | None] | None:
    x, y = case.inputs
    if "broadcast" in case.attributes or x.dtype.kind in "iu" or (y.dtype.kind in "iu" and y.dtype.itemsize == 8):
        return None
    return of_ulps(np.power, 1, 1)(case)


@oracle("LeakyRelu")
def leaky_relu(case: Case) -> list[Expected | None]:
    alpha = WIDE(np.float32(case.attributes.get("alpha", 0.01)))
    return rounded_once(lambda x: np.where(x < 0, alpha * x, x))(case)


@oracle("HardSigmoid", "HardSwish")
def hard_sigmoid(case: Case) -> list[Expected | None]:
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


# Chains and sums


def chained(exact: Array, magnitude: Array, h: float, dtype: Any) -> Expected:
    """A sum of products: gamma_h times the sum of the magnitudes, which may overflow on the way."""
    top = float(ml_dtypes.finfo(np.float64 if np.dtype(dtype) == np.float64 else np.float32).max)
    return Expected(exact, np.where(magnitude > top / 2, np.inf, gamma(h, dtype) * magnitude + tiny(dtype, h)))


@oracle("MatMul")
def matmul(case: Case) -> list[Expected | None]:
    a, b = map(wide, case.inputs)
    return [chained(np.matmul(a, b), np.matmul(np.abs(a), np.abs(b)), a.shape[-1] + 1, case.inputs[0].dtype)]


@oracle("Gemm")
def gemm(case: Case) -> list[Expected | None]:
    a, b, *rest = map(wide, case.inputs)
    a_dtype = case.inputs[0].dtype
    alpha, beta = (WIDE(np.float32(case.attributes.get(name, 1.0))) for name in ("alpha", "beta"))
    a = a.T if case.attributes.get("transA") else a
    b = b.T if case.attributes.get("transB") else b
    c = beta * rest[0] if rest else WIDE(0)
    products = np.matmul(np.abs(a), np.abs(b))
    expected = chained(alpha * np.matmul(a, b) + c, np.abs(alpha) * products + np.abs(c), a.shape[-1] + 4, a_dtype)
    before = chained(products, np.maximum(products, np.abs(rest[0]) if rest else 0), 1, a_dtype)  # scaling comes later
    return [Expected(expected.exact, np.where(np.isinf(before.slack), np.inf, expected.slack))]


@oracle("Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool")
def windows(case: Case) -> list[Expected | None] | None:
    """The reference itself in binary64, on the inputs and on their magnitudes: for narrower types only."""
    dtype = case.inputs[0].dtype
    if dtype == np.float64:
        return None
    given = [None if x is None else wide(x).astype(np.float64) for x in case.inputs]
    exact, magnitude = (
        in_reference(case, values) for values in (given, [None if x is None else np.abs(x) for x in given])
    )
    if case.op_type.startswith("Conv"):
        h = math.prod(given[1].shape) + 2.0
    else:
        h = math.prod(case.attributes.get("kernel_shape", given[0].shape[2:])) + 2.0
        magnitude = np.where(magnitude > 2.0**127 / h, np.inf, magnitude)  # the sum comes before the division
    return [chained(wide(exact), wide(magnitude), h, dtype)]


def in_reference(case: Case, values: list[Any]) -> Array:
    """The first output of a case's operator on other inputs."""
    outputs = diptych_reference.run_operator(
        case.op_type, values, case.attributes, opset=case.opset, domain=case.domain
    )
    return np.asarray(outputs[0])


def reduced_axes(case: Case) -> tuple[int, ...]:
    """The axes of a reduction."""
    rank = case.inputs[0].ndim
    axes = case.attributes.get("axes")
    if len(case.inputs) > 1:
        axes = case.inputs[1].tolist()
    if not axes and case.attributes.get("noop_with_empty_axes") and "axes" not in case.attributes:
        return ()
    return tuple(sorted({axis % rank for axis in axes})) if axes else tuple(range(rank))


def reduced(case: Case) -> tuple[Array, np.dtype[Any], dict[str, Any], int]:
    """The exact operand of a reduction, its type, what NumPy is to be told, and how many elements become one."""
    x, axes = wide(case.inputs[0]), reduced_axes(case)
    over = {"axis": axes, "keepdims": bool(case.attributes.get("keepdims", 1))}
    return x, case.inputs[0].dtype, over, math.prod(x.shape[axis] for axis in axes)


@oracle("ReduceSum", "ReduceMean", "ReduceL2")
def reduction(case: Case) -> list[Expected | None]:
    x, dtype, over, count = reduced(case)
    terms = x * x if case.op_type == "ReduceL2" else x
    total, magnitude = (np.asarray(np.sum(t, **over)) for t in (terms, np.abs(terms)))
    h = lane_depth(count) + 2
    if case.op_type == "ReduceSum":
        return [chained(total, magnitude, h, dtype)]
    if case.op_type == "ReduceMean":
        sums = chained(total, magnitude, h, dtype)
        return [Expected(total / WIDE(count), sums.slack / WIDE(max(count, 1)) + tiny(dtype))]
    root = np.sqrt(total)
    lost = math.sqrt(tiny(dtype, count + 1))  # squares that underflow
    top = float(ml_dtypes.finfo(np.float64 if dtype == np.float64 else np.float32).max)
    return [Expected(root, np.where(total > top / 2, np.inf, gamma(h + 1, dtype) * root + lost))]


@oracle("CumSum")
def cum_sum(case: Case) -> list[Expected | None] | None:
    if case.attributes.get("exclusive") or case.attributes.get("reverse"):
        return None
    x, axis = wide(case.inputs[0]), int(case.inputs[1].reshape(()))
    exact, magnitude = (np.cumsum(t, axis=axis) for t in (x, np.abs(x)))
    return [chained(exact, magnitude, x.shape[axis], case.inputs[0].dtype)]


@oracle("Sum")
def variadic_sum(case: Case) -> list[Expected | None]:
    terms = np.broadcast_arrays(*map(wide, case.inputs))
    return [chained(sum(terms), sum(map(np.abs, terms)), len(terms), case.inputs[0].dtype)]


# Composites


@oracle("Softmax", "LogSoftmax")
def softmax(case: Case) -> list[Expected | None]:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    axes: tuple[int, ...] = (case.attributes.get("axis", -1) % x.ndim,)
    if case.opset < 13:
        axes = tuple(range(case.attributes.get("axis", 1) % x.ndim, x.ndim))
    if x.size == 0:
        return [Expected(x)]
    u = WIDE(unit(dtype))
    d = x - np.max(x, axis=axes, keepdims=True)
    e = np.exp(d)
    total = np.sum(e, axis=axes, keepdims=True)
    from_e = np.where(e == 0, 0, u * (np.abs(d) + 4))  # rounding d, then exp itself
    count = math.prod(x.shape[axis] for axis in axes)
    from_sum = np.sum(np.where(e == 0, 0, e * from_e), axis=axes, keepdims=True) / total + gamma(
        lane_depth(count), dtype
    )
    if case.op_type == "Softmax":
        y = e / total
        return [Expected(y, y * (from_e + from_sum + 4 * u) * WIDE(1.01) + tiny(dtype, count + 2))]
    y = d - np.log(total)
    return [
        Expected(y, u * (np.abs(d) + np.abs(y) + 4 * np.abs(np.log(total))) + from_sum * WIDE(1.01) + tiny(dtype, 2))
    ]


@oracle("LayerNormalization")
def layer_normalization(case: Case) -> list[Expected | None] | None:
    dtype = case.inputs[0].dtype
    if case.attributes.get("stash_type", 1) != 1:
        return None
    x, scale = wide(case.inputs[0]), wide(case.inputs[1])
    bias = wide(case.inputs[2]) if len(case.inputs) > 2 else WIDE(0)
    axes = tuple(range(case.attributes.get("axis", -1) % x.ndim, x.ndim))
    epsilon = WIDE(np.float32(case.attributes.get("epsilon", 1e-5)))
    u, h = WIDE(2.0**-24), gamma(lane_depth(math.prod(x.shape[axis] for axis in axes)) + 2, np.float32)

    def mean(t: Array) -> Array:
        return np.mean(t, axis=axes, keepdims=True)

    d = x - mean(x)
    # Lost of d, for double too what is below binary32, since it is rounded to the stash type first.
    lost = h * mean(np.abs(x)) + u * np.abs(d) + u * np.abs(x) + SUBNORMAL
    variance = mean(d * d) + epsilon
    relative = (mean(2 * np.abs(d) * lost + lost * lost) + h * mean(d * d)) / variance + u
    inverse = 1 / np.sqrt(variance)
    relative = np.where(relative < 0.1, 0.6 * relative + 3 * u, np.inf)
    slack = np.abs(d) * inverse * (relative + 2 * u) + lost * inverse
    narrow = WIDE(2.0**-53 if dtype == np.float64 else float(ml_dtypes.finfo(dtype).eps) / 2)
    reach = np.max(np.abs(x) + np.abs(d), axis=axes, keepdims=True, initial=0)
    slack = np.where((reach > 2.0**57) | (variance < 2.0**-100), np.inf, slack)  # a row's squares over- or underflow
    exact = d * inverse * scale
    slack = np.abs(scale) * (slack + narrow * np.abs(d * inverse)) + narrow * (2 * np.abs(exact) + np.abs(bias)) * WIDE(
        1.01
    )
    least = max(SUBNORMAL, float(ml_dtypes.finfo(dtype).smallest_subnormal))
    top = float(ml_dtypes.finfo(dtype).max)
    slack = np.where(np.abs(exact) + slack > top, np.inf, slack)  # infinite before the bias can bring it back
    return [Expected(exact + bias, slack + least * (2 + np.abs(scale)))]


@oracle("BatchNormalization")
def batch_normalization(case: Case) -> list[Expected | None] | None:
    x, scale, b, mean, variance = map(wide, case.inputs)
    if case.attributes.get("training_mode") or case.n_outputs > 1:
        return None
    dtype = case.inputs[0].dtype
    s = scale / np.sqrt(variance + WIDE(np.float32(case.attributes.get("epsilon", 1e-5))))
    shape = (*s.shape, *(1,) * (x.ndim - 1 - s.ndim))
    s, b, mean = (value.reshape(shape) for value in (s, b, mean))
    u, double = unit(dtype), 2.0**-50
    slack = u * (np.abs(x * s) + 2 * np.abs(b - mean * s) + np.abs((x - mean) * s + b))
    slack = (
        slack * WIDE(1.01) + double * (np.abs(b) + np.abs(mean * s) + np.abs(x * s)) + tiny(dtype, 2) * (1 + np.abs(x))
    )
    top = float(ml_dtypes.finfo(np.float64 if dtype == np.float64 else np.float32).max)
    return [Expected((x - mean) * s + b, np.where(np.abs(s) + np.abs(mean * s) + np.abs(b) > top / 4, np.inf, slack))]


@oracle("DequantizeLinear")
def dequantize(case: Case) -> list[Expected | None] | None:
    if any(np.size(v) != 1 for v in case.inputs[1:] if v is not None) or case.inputs[0].dtype.kind not in "iu":
        return None
    x, scale, *zero = map(wide, case.inputs)
    difference = x - (zero[0].reshape(()) if zero else 0)
    exact = difference * scale.reshape(())
    return [Expected(exact, np.abs(exact) * WIDE(2.0**-23) + tiny(np.float32))]


@oracle("Resize", "LSTM")
def in_double(case: Case) -> list[Expected | None] | None:
    """The reference in binary64, for narrower types."""
    dtype = case.inputs[0].dtype
    if dtype.name not in ("float32", "float16", "bfloat16"):
        return None
    return resized(case) if case.op_type == "Resize" else lstm(case)


def resized(case: Case) -> list[Expected | None] | None:
    """Interpolation: some tens of roundings an axis, of terms that weights of at most 4 make of max |x|."""
    if case.attributes.get("mode", "nearest") in ("nearest", b"nearest"):
        return None
    x = wide(case.inputs[0])
    if not np.isfinite(x).all():
        return None
    exact = wide(in_reference(case, [x.astype(np.float64), *case.inputs[1:]]))
    greatest = np.max(np.abs(x), initial=0)
    slack = gamma(40.0 * x.ndim, np.float32) * 4.0**x.ndim * greatest + tiny(np.float32, 99)
    return [Expected(exact, np.where(greatest > 2.0**100, np.inf, np.full(exact.shape, slack)))]


def lstm(case: Case) -> list[Expected | None] | None:
    """Functions of slope at most 1 and two products a step: errors of h and c grow by a factor a step."""
    plain = case.attributes.keys() <= {"hidden_size", "direction", "layout"}
    given = [None if x is None else x if x.dtype == np.int32 else wide(x).astype(np.float64) for x in case.inputs]
    floats = [x for x in given if x is not None and x.dtype == np.float64]
    if not plain or not all(np.isfinite(x).all() and np.max(np.abs(x), initial=0) < 200 for x in floats):
        return None
    x, w, r = floats[:3]
    steps = x.shape[1 if case.attributes.get("layout") else 0]
    greatest = [float(np.max(np.abs(value), initial=0)) for value in floats]
    biggest = max(greatest[3:], default=0.0)
    a = (
        w.shape[2] * greatest[0] * greatest[1]
        + r.shape[2] * max(1.0, biggest) * greatest[2]
        + 3 * biggest * max(1.0, biggest)
    )
    one_step = gamma(w.shape[2] + r.shape[2] + 8, np.float32) * (a + 1) * (biggest + steps + 2)
    growth = 2.0 + 2.0 * (r.shape[2] * greatest[2] + biggest) * (biggest + steps)
    slack = one_step * sum(growth**t for t in range(steps + 1))
    outputs = diptych_reference.run_operator("LSTM", given, case.attributes, opset=case.opset, n_outputs=3)
    return [Expected(wide(y), np.full(y.shape, slack if slack < 0.05 else np.inf)) for y in outputs]


@oracle("ReduceProd")
def product(case: Case) -> list[Expected | None]:
    """Relative errors of the factors; partial products may overflow or underflow, then only classes count."""
    x, dtype, over, count = reduced(case)
    exact = np.asarray(np.prod(x, **over))
    logarithms = np.where(x == 0, 0, np.abs(np.log2(np.abs(np.where(x == 0, 1, x)))))
    reach = np.asarray(np.sum(logarithms, **over))  # no partial product is further from 1
    limit = 1000 if dtype == np.float64 else 120
    slack = gamma(lane_depth(count) + 1, dtype) * np.abs(exact)
    return [Expected(exact, np.where(reach < limit, slack, np.inf))]


@oracle("LRN")
def local_response(case: Case) -> list[Expected | None]:
    x, dtype = wide(case.inputs[0]), case.inputs[0].dtype
    defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    alpha, beta, bias = (WIDE(np.float32(case.attributes.get(name, value))) for name, value in defaults.items())
    size, channels = case.attributes["size"], x.shape[1]
    total = np.zeros_like(x)
    for c in range(channels):
        first, last = max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1)
        total[:, c] = np.sum(x[:, first:last] ** 2, axis=1)
    base = bias + alpha / size * total
    exact = x / np.power(base, beta)
    relative = gamma(size + 6, dtype) * (np.abs(beta) * 2 + 4)
    top = float(ml_dtypes.finfo(np.float64 if dtype == np.float64 else np.float32).max)
    sound = (
        (total < top / 4) & (base > 2.0**-60) & ((total > 2.0**-100) | (bias > 0)) & (np.power(base, beta) < top / 4)
    )
    return [Expected(exact, np.where(sound | np.isnan(exact), relative * np.abs(exact) + tiny(dtype, 4), np.inf))]


@oracle("Range")
def progression(case: Case) -> list[Expected | None]:
    start, limit, delta = (value.reshape(()) for value in map(wide, case.inputs))
    dtype = case.inputs[0].dtype
    count = max(0, math.ceil(float((limit - start).astype(np.float64) / delta.astype(np.float64))))
    i = np.arange(count).astype(WIDE)
    return [Expected(start + i * delta, unit(dtype) * (np.abs(i * delta) + np.abs(start + i * delta)) * WIDE(1.01))]


@oracle("QuantizeLinear")
def quantize(case: Case) -> list[Expected | None] | None:
    """One scale for all, to integers: the quotient rounded to an integer; one near a half may go to either side."""
    x, scale, *zero = case.inputs
    if (
        any(np.size(v) != 1 for v in case.inputs[1:])
        or "precision" in case.attributes
        or "output_dtype" in case.attributes
    ):
        return None
    if (zero and zero[0].dtype.kind not in "iu") or scale.dtype.name not in ("float32", "float16", "bfloat16"):
        return None
    ends = np.iinfo(zero[0].dtype if zero else np.uint8)
    quotient = wide(x) / wide(scale).reshape(())
    if not np.isfinite(quotient).all():
        return None
    point = wide(zero[0]).reshape(()) if zero else WIDE(0)
    exact = np.clip(np.rint(quotient) + point, ends.min, ends.max)
    u = WIDE(float(ml_dtypes.finfo(scale.dtype).eps))
    doubtful = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5) <= u * np.abs(quotient)
    return [Expected(exact, np.where(doubtful | (np.abs(quotient) * u >= 0.5), 1 + np.abs(quotient) * u, 0))]


@oracle("DynamicQuantizeLinear")
def dynamic_quantize(case: Case) -> list[Expected | None] | None:
    """The scale alone: the range, 0 included, in 255 steps."""
    x = wide(case.inputs[0])
    low, high = np.minimum(0, np.min(x, initial=0)), np.maximum(0, np.max(x, initial=0))
    exact = np.asarray((high - low) / 255)
    if exact == 0 or high - low > 2.0**127 or not np.isfinite(exact):
        return None
    return [None, Expected(exact, 3 * unit(np.float32) * exact + tiny(np.float32, 2))]
