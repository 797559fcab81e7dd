"""Oracles of quantization."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, finfo, in_reference, oracle, spacing, tiny, unit, wide
from diptych.testing.values import Array


@oracle("DequantizeLinear")
def dequantize(case: Case) -> list[Expected | None] | None:
    """One scale for all integers: a product."""
    if any(np.size(v) != 1 for v in case.inputs[1:] if v is not None) or case.inputs[0].dtype.kind not in "iu":
        return None
    x, scale, *zero = map(wide, case.inputs)
    difference = x - (zero[0].reshape(()) if zero else 0)
    exact = difference * scale.reshape(())
    return [Expected(exact, np.abs(exact) * WIDE(2.0**-23) + tiny(np.float32))]


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
    u = WIDE(float(finfo(scale.dtype).eps))
    doubtful = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5) <= u * np.abs(quotient)
    return [Expected(exact, np.where(doubtful | (np.abs(quotient) * u >= 0.5), 1 + np.abs(quotient) * u, 0))]


def along(values: Array, matrix: Array, axis: int) -> Array:
    """Scales or zero points of a matrix, one in all or one an index of `axis`, made to broadcast."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape(-1, 1) if values.ndim == 1 and axis == -2 else values


def requantized(exact: Array, magnitude: Array, h: float, factors: list[Array], y_scale: Array, y_zero: Array) -> Any:
    """Sums of products known to `h` roundings, in units of y: rounded to y's type, with the step that this may miss."""
    if np.max(magnitude, initial=0) >= 2.0**31 or not all(np.isfinite(wide(s)).all() for s in (*factors, y_scale)):
        return None
    with np.errstate(all="ignore"):
        m = wide(factors[0]) * wide(factors[1]) / wide(y_scale).reshape(())
        quotient = exact * m
    lost = np.abs(m) * (magnitude * (h + 4) * unit(np.float32)) + tiny(np.float32, 4) * (1 + np.abs(exact))
    lost = np.where((np.abs(m) < 2.0**-120) | (np.abs(m) > 2.0**120), np.inf, lost)
    point = wide(y_zero).reshape(())
    if y_zero.dtype.kind not in "iu":
        top = WIDE(float(finfo(y_zero.dtype).max))
        y = np.clip(quotient + point, -top, top)
        return [Expected(y, lost + spacing(np.abs(y) + lost, y_zero.dtype) * WIDE(0.51))]
    ends = np.iinfo(y_zero.dtype)
    y = np.clip(np.rint(quotient) + point, ends.min, ends.max)
    doubtful = np.abs(np.abs(quotient - np.floor(quotient)) - 0.5) <= lost
    slack = np.where(doubtful | (lost >= 0.5), 1 + 2 * lost, 0)
    return [Expected(y, np.where(np.isfinite(quotient), np.minimum(slack, 256), np.inf))]


@oracle("QLinearMatMul")
def quantized_product(case: Case) -> list[Expected | None] | None:
    """Exact for integers; a float8 operand makes it a chain of rounded differences."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = case.inputs
    if not all(np.isfinite(wide(v)).all() for v in (a, a_zero, b, b_zero, y_zero)):
        return None
    left, right = wide(a) - along(wide(a_zero), a, -2), wide(b) - along(wide(b_zero), b, -1)
    left, right = left if a.ndim > 1 else left[None], right if b.ndim > 1 else right[:, None]
    products = np.matmul(np.abs(left), np.abs(right))
    h = 0 if {a.dtype.kind, b.dtype.kind} <= {"i", "u"} else a.shape[-1] + 4
    found = requantized(
        np.matmul(left, right), products, h, [along(a_scale, a, -2), along(b_scale, b, -1)], y_scale, y_zero
    )
    if found is None:
        return None
    [y] = found
    squeezed = tuple(axis for axis, m in ((-2, a), (-1, b)) if m.ndim == 1)
    slack = np.broadcast_to(y.slack, y.exact.shape)
    return [Expected(np.squeeze(y.exact, squeezed), np.squeeze(slack, squeezed))]


@oracle("QLinearConv")
def quantized_convolution(case: Case) -> list[Expected | None] | None:
    """The reference's Conv in binary64, where these integers are exact."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *rest = case.inputs
    spatial = (1,) * (x.ndim - 2)
    left = x.astype(np.float64) - x_zero.astype(np.float64).reshape(())
    right = w.astype(np.float64) - w_zero.astype(np.float64).reshape(-1, 1, *spatial)
    plain = Case("Conv", "", 11, (), case.attributes, 1)
    exact, magnitude = (wide(in_reference(plain, [f(left), f(right)])) for f in (np.asarray, np.abs))
    if rest:
        bias = wide(rest[0]).reshape(-1, *spatial)
        exact, magnitude = exact + bias, magnitude + np.abs(bias)
    factors = [x_scale.reshape(()), w_scale.reshape(-1, *spatial)]
    found: list[Expected | None] | None = requantized(exact, magnitude, 0, factors, y_scale, y_zero)
    return found


@oracle("DynamicQuantizeLinear")
def dynamic_quantize(case: Case) -> list[Expected | None] | None:
    """The scale alone: the range, 0 included, in 255 steps."""
    x = wide(case.inputs[0])
    low, high = np.minimum(0, np.min(x, initial=0)), np.maximum(0, np.max(x, initial=0))
    exact = np.asarray((high - low) / 255)
    if exact == 0 or high - low > 2.0**127 or not np.isfinite(exact):
        return None
    return [None, Expected(exact, 3 * unit(np.float32) * exact + tiny(np.float32, 2))]
