"""Oracles of quantization."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from tests.ops.oracles.base import WIDE, Expected, oracle, tiny, unit, wide

from diptych.testing import Case


@oracle("DequantizeLinear")
def dequantize(case: Case) -> list[Expected | None] | None:
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
