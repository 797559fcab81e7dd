"""How far two correct float evaluations of one node may lie apart, element by element, without an exact value.

Cheaper than the oracles and wider: for tensors so large that an oracle would take minutes, and for operators that none
knows.
Chains of multiply-adds: gamma_h |A||B|, where |A||B| is the operator itself on the absolute values of its inputs and h
the number of terms. Functions: a relative part and an absolute one, those of ONNX Runtime's approximations where they
are the wider. Moves, comparisons, integers and single roundings must be equal. `tolerance` returns the absolute
tolerance of each output, None for "equal".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["RULES", "ZERO_SIGN_FREE", "Call", "Tolerance", "is_float", "problem", "tolerance"]

Array = np.ndarray[Any, Any]
Tolerance = Array | float | None


@dataclass(frozen=True)
class Call:
    """One node as a peer evaluated it. `evaluate(inputs)` runs the same node on other inputs of the same types."""

    op_type: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    evaluate: Callable[[list[Any]], list[Any]]

    @property
    def unit(self) -> float:
        """Unit roundoff of the float type at hand."""
        return float(np.finfo(next(a.dtype for a in self.inputs if is_float(a))).eps) / 2

    def wide(self, index: int) -> Array:
        """Input `index` in double precision; zero where it is absent."""
        value = self.inputs[index] if index < len(self.inputs) else None
        return np.asarray(0.0 if value is None else value, np.float64)


def is_float(value: Any) -> bool:
    """Whether a value is a tensor of floats."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def tolerance(call: Call) -> list[Tolerance]:
    """Absolute tolerances of the outputs of `call`."""
    rule = RULES.get(call.op_type)
    if rule is None or not any(is_float(value) for value in call.inputs):
        return [None] * len(call.outputs)
    with np.errstate(all="ignore"):
        return rule(call)


def gamma(terms: float, unit: float) -> float:
    """Bound of the relative error of `terms` roundings in a row."""
    return terms * unit / (1 - terms * unit)


def size_of(dims: Sequence[int]) -> int:
    """Number of elements, at least 1."""
    return max(1, math.prod(dims))


def chain(terms: Callable[[Call], int]) -> Callable[[Call], list[Tolerance]]:
    """Operators that are sums of products, each with `terms` roundings."""

    def rule(call: Call) -> list[Tolerance]:
        magnitudes = call.evaluate([np.abs(value) if is_float(value) else value for value in call.inputs])
        factor = gamma(terms(call) + 2, call.unit)
        return [None if m is None else factor * np.abs(np.asarray(m, np.float64)) for m in magnitudes]

    return rule


def few_bits(call: Call) -> list[Tolerance]:
    """MatMulNBits: as if every code and every zero point were the greatest, since others add the two apart."""
    a, b, scales = call.inputs[:3]
    bits = int(call.attributes.get("bits", 4))
    zeros = np.zeros((len(b), -(-b.shape[1] * bits // 8)), np.uint8)
    [greatest] = call.evaluate([np.abs(a), np.full_like(b, 0xFF), np.abs(scales), zeros])
    return [2 * gamma(a.shape[-1] + 8, call.unit) * np.asarray(greatest, np.float64)]


def function(relative: float, absolute: float = 0.0) -> Callable[[Call], list[Tolerance]]:
    """Elementwise functions: `relative` and `absolute` are in units of roundoff, besides `relative` subnormal steps."""

    def rule(call: Call) -> list[Tolerance]:
        step = float(np.finfo(call.outputs[0].dtype).smallest_subnormal)
        values = [np.abs(np.asarray(y, np.float64)) for y in call.outputs]
        return [call.unit * (relative * y + absolute) + relative * step for y in values]

    return rule


def reduced(call: Call) -> int:
    """Number of elements that go into one of the output."""
    return int(call.inputs[0].size // max(1, call.outputs[0].size))


def window(call: Call) -> int:
    """Number of elements of a pooling window."""
    return size_of(call.attributes.get("kernel_shape", call.inputs[0].shape[2:]))


def softmax(call: Call) -> list[Tolerance]:
    """Relative: the rounding of x - max, the function, the sum. In logarithms the same is absolute."""
    x = call.wide(0)
    axis = int(call.attributes.get("axis", -1))
    depth = x.shape[axis] / 16 + 16
    error = call.unit * (2 * np.abs(x - x.max(axis, keepdims=True)) + 2 * depth)
    logarithm = call.op_type == "LogSoftmax"
    return [error if logarithm else error * np.asarray(call.outputs[0], np.float64) + np.finfo(np.float32).tiny]


def layer_normalization(call: Call) -> list[Tolerance]:
    """Error of the mean, of the variance and of the last steps; mean|x| / sigma is the condition of the problem."""
    x, scale, bias = (call.wide(i) for i in range(3))
    axis = int(call.attributes.get("axis", -1)) % x.ndim
    axes = tuple(range(axis, x.ndim))
    depth = gamma(size_of(x.shape[axis:]) / 8 + 8, call.unit)
    mean, size = x.mean(axes, keepdims=True), np.abs(x).mean(axes, keepdims=True)
    sigma = np.sqrt(x.var(axes, keepdims=True) + call.attributes.get("epsilon", 1e-5))
    condition = size / sigma
    error = np.abs(scale) * (depth * condition + (np.abs(x - mean) / sigma) * depth * (1 + condition))
    error = error + 4 * call.unit * np.abs(bias)
    rest: list[Tolerance] = [2 * depth * size, 2 * depth * (1 + condition) / sigma]
    return [error, *rest[: len(call.outputs) - 1]]


def rms_normalization(call: Call) -> list[Tolerance]:
    """All terms are squares, so the root errs relatively, and so does the output."""
    axis = int(call.attributes.get("axis", -1))
    depth = gamma(size_of(call.inputs[0].shape[axis:]) / 8 + 8, call.unit)
    return [depth * np.abs(np.asarray(y, np.float64)) for y in call.outputs]


def rotary_embedding(call: Call) -> list[Tolerance]:
    """Each output is a sum or a difference of two products: the operator on absolute values, with either sign."""
    x, cosine, sine, *rest = call.inputs
    both = [call.evaluate([np.abs(x), np.abs(cosine), sign * np.abs(sine), *rest])[0] for sign in (1, -1)]
    return [gamma(4, call.unit) * np.maximum(*(np.abs(np.asarray(y, np.float64)) for y in both))]


def attention(call: Call) -> list[Tolerance]:
    """An error of the scores is one relative to the weights, and those multiply |V|; the cache only moves."""
    query, key, value, mask, past_key, past_value = (*call.inputs, None, None, None)[:6]
    magnitudes = [query, key, np.abs(value), mask, past_key, None if past_value is None else np.abs(past_value)]
    mixed = np.abs(np.asarray(call.evaluate(magnitudes)[0], np.float64))

    def longest(x: Array | None, heads: str) -> float:
        """Greatest length of a head's vector."""
        if x is None:
            return 0.0
        rows = x.astype(np.float64).reshape(-1, x.shape[-1] // call.attributes[heads] if x.ndim == 3 else x.shape[-1])
        return float(np.sqrt((rows * rows).sum(-1)).max(initial=0.0))

    size = query.shape[-1] // (call.attributes["q_num_heads"] if query.ndim == 3 else 1)
    keys = max(longest(key, "kv_num_heads"), longest(past_key, ""))
    score = longest(query, "q_num_heads") * keys * call.attributes.get("scale", size**-0.5)
    total = key.shape[-2] + (0 if past_key is None else past_key.shape[-2])
    error = gamma(2 * total + 16, call.unit) + 2 * score * gamma(size + 4, call.unit)
    return [error * mixed, *[None] * (len(call.outputs) - 1)]


def batch_normalization(call: Call) -> list[Tolerance]:
    """(x - mean) * scale / sqrt(var + epsilon) + bias in any association."""
    x, scale, bias, mean, variance = (call.wide(i) for i in range(5))
    factor = np.abs(scale) / np.sqrt(variance + call.attributes.get("epsilon", 1e-5))
    factor, bias, mean = (a.reshape(-1, *[1] * (x.ndim - 2)) for a in (factor, bias, mean))
    return [8 * call.unit * ((np.abs(x) + np.abs(mean)) * factor + np.abs(bias))]


def lstm(call: Call) -> list[Tolerance]:
    """Absolute and measured, not derived: the recurrences of trained cells contract, a worst case would not.

    One step errs by gamma of its chain, times the largest magnitude of a state.
    """
    terms = call.inputs[1].shape[2] + call.inputs[2].shape[2] + 16
    largest = max((float(np.abs(y).max()) for y in call.outputs if y is not None and y.size), default=1.0)
    return [gamma(terms, call.unit) * max(1.0, largest)] * len(call.outputs)


def dynamic_quantize_lstm(call: Call) -> list[Tolerance]:
    """As `lstm`, and hidden values that another rounding moves by a quantum of 8 bits: each moves gates by its weight.

    Absolute and measured: of the models here the farthest output lay two such moves away; twice that is allowed.
    """
    quantum = 2 / 255  # hidden values lie in (-1, 1)
    weights = ((1, 8), (2, 10))  # W and R, each with its scale
    largest = max(float(np.abs(call.wide(w)).max() * np.abs(call.wide(scale)).max()) for w, scale in weights)
    return [rounding + 4 * quantum * largest for rounding in lstm(call) if rounding is not None]


def resize(call: Call) -> list[Tolerance]:
    """Nearest moves; else the weights are differences of coordinates as great as the longest side."""
    if call.attributes.get("mode", "nearest") == "nearest":
        return [None]
    x = call.inputs[0]
    return [call.unit * 4 * (max(x.shape) + 8) * float(np.abs(x).max(initial=0))]


def scatter(call: Call) -> list[Tolerance]:
    """Updates that are added may be added in another order."""
    if call.attributes.get("reduction", "none") != "add":
        return [None]
    return chain(lambda c: int(np.asarray(c.inputs[1]).shape[0]))(call)


RULES: dict[str, Callable[[Call], list[Tolerance]]] = {
    "MatMulNBits": few_bits,
    "MatMul": chain(lambda c: int(c.inputs[0].shape[-1])),
    "Gemm": chain(lambda c: int(c.inputs[0].size // max(1, c.outputs[0].shape[0]))),
    "Conv": chain(lambda c: size_of(c.inputs[1].shape[1:])),
    "ConvTranspose": chain(lambda c: int(c.inputs[1].shape[0]) * size_of(c.inputs[1].shape[2:])),
    "AveragePool": chain(window),
    "GlobalAveragePool": chain(lambda c: size_of(c.inputs[0].shape[2:])),
    "ReduceSum": chain(reduced),
    "ReduceMean": chain(reduced),
    "ReduceL2": chain(reduced),
    "ReduceProd": chain(reduced),
    "CumSum": chain(lambda c: max(c.inputs[0].shape, default=1)),
    "Sum": chain(lambda c: len(c.inputs)),
    "Range": chain(lambda c: 2),
    "Exp": function(4),
    "Log": function(4, 1),
    "Pow": function(4),
    "Sin": function(4, 1),
    "Cos": function(4, 1),
    "Erf": function(4, 4),
    "Tanh": function(8, 8),
    "Sigmoid": function(4, 4),
    "Softplus": function(8, 2),
    "HardSigmoid": function(2, 2),
    "HardSwish": function(8, 4),
    "Reciprocal": function(2),
    "Sqrt": function(2),
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "RotaryEmbedding": rotary_embedding,
    "Attention": attention,
    "BatchNormalization": batch_normalization,
    "LSTM": lstm,
    "DynamicQuantizeLSTM": dynamic_quantize_lstm,
    "Resize": resize,
    "ScatterElements": scatter,
    "ScatterND": scatter,
}

# ONNX Runtime loses the sign of a zero here; docs/numerics.md keeps it or says which it is.
ZERO_SIGN_FREE = {"Relu", "Clip", "Max", "Min", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "Round", "Mod"}


def problem(call: Call, index: int, actual: Any, allowed: Tolerance) -> str:
    """Return what is wrong with `actual` as output `index` of `call`, "" if nothing is."""
    expected = call.outputs[index]
    if type(actual) is not type(expected):
        return f"a {type(actual).__name__}, expected a {type(expected).__name__}"
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return f"{actual.dtype}{list(actual.shape)}, expected {expected.dtype}{list(expected.shape)}"
    if allowed is None or not is_float(expected):
        same = actual == expected
        if is_float(expected):
            same |= np.isnan(actual) & np.isnan(expected)
            if call.op_type not in ZERO_SIGN_FREE:
                same &= (np.signbit(actual) == np.signbit(expected)) | np.isnan(expected)
    else:
        with np.errstate(invalid="ignore"):
            error = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
            same = (error <= allowed) | (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    wrong = ~np.asarray(same)
    if not wrong.any():
        return ""
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    limit = "0" if allowed is None else f"{np.broadcast_to(np.asarray(allowed), wrong.shape)[first]:.3g}"
    return (
        f"{int(wrong.sum())} of {wrong.size} differ, first at {list(first)}: "
        f"{actual[first]!r}, ONNX Runtime {expected[first]!r}, allowed {limit}"
    )
