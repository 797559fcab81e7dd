"""Exact probes: sums of products that no honest order of evaluation rounds, so that bits must agree.

A bound of gamma_K |A||B| lets two bugs through that are smaller than it: operands rounded to 16 bits, and a last small
term that is dropped. Two kinds of operands leave no room for them: small integers, whose sums of magnitudes stay below
2^24 (2^53 in binary64), so that every partial sum in every order is exact; and one-hot operands, where at most one
product is not zero, so that there is one rounding whatever the order. `sharpened` finds both in cases as they come.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.testing.case import Case
from diptych.testing.oracles.base import Expected, spacing, wide
from diptych.testing.values import Array

__all__ = ["LINEAR", "sharpened"]

# Sums of products, with nothing done to them before or after that rounds integers.
LINEAR = {
    "Add", "Col2Im", "Conv", "ConvTranspose", "CumSum", "Einsum", "Gemm", "MatMul", "Mul", "ReduceL1", "ReduceSum",
    "ReduceSumSquare", "Sub", "Sum",
}  # fmt: skip
WHOLE = {np.dtype(np.float32): 2.0**24, np.dtype(np.float64): 2.0**53}


def sharpened(case: Case, expected: Expected) -> Expected:
    """The same exact values with no slack where every honest evaluation gives them."""
    dtype = case.inputs[0].dtype if case.inputs and isinstance(case.inputs[0], np.ndarray) else None
    if case.op_type not in LINEAR or case.domain or dtype not in WHOLE:
        return expected
    if _of_small_integers(case, WHOLE[dtype]):
        return Expected(expected.exact, 0.0, expected.signed_zeros)
    if case.op_type == "MatMul":
        return _one_hot(case, expected, dtype)
    return expected


def _of_small_integers(case: Case, limit: float) -> bool:
    """Whether operands and factors are integers, and no sum of magnitudes can reach the limit."""
    if not all(float(case.attributes.get(name, 1.0)).is_integer() for name in ("alpha", "beta")):
        return False
    reach, terms = 1.0, 1
    for value in case.inputs:
        if not isinstance(value, np.ndarray) or value.dtype != case.inputs[0].dtype:
            continue
        if not np.all(np.isfinite(value)) or not np.array_equal(np.rint(value), value):
            return False
        # Added numbers, squared ones and factors all stay below the product of what is one greater.
        reach *= float(np.max(np.abs(value), initial=0)) + 1.0
        terms = terms * value.size if case.op_type == "Einsum" else max(terms, value.size)
    factor = max(abs(float(case.attributes.get(name, 1.0))) for name in ("alpha", "beta")) + 1.0
    squares = reach if case.op_type == "ReduceSumSquare" else 1.0
    return reach * squares * factor * (terms + len(case.inputs)) < limit


def _one_hot(case: Case, expected: Expected, dtype: Any) -> Expected:
    """One rounding, of the product, wherever at most one product is not zero; NaN and infinities stay as they are."""
    a, b = (wide(value) for value in case.inputs)
    products = np.asarray(np.matmul((a != 0).astype(np.float64), (b != 0).astype(np.float64)))
    finite = bool(np.all(np.isfinite(a)) and np.all(np.isfinite(b)))
    sharp: Array = spacing(expected.exact, dtype) * np.longdouble(0.5000001)
    slack = np.broadcast_to(np.asarray(expected.slack), expected.exact.shape)
    return Expected(expected.exact, np.where(products <= 1, np.minimum(sharp, slack), slack)) if finite else expected
