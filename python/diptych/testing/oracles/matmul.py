"""Oracles of matrix products."""

from __future__ import annotations

import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, bounded, chained, finfo, moves, oracle, tiny, unit, wide
from diptych.testing.values import Array


@oracle("MatMul")
def matmul(case: Case) -> list[Expected | None]:
    """gamma_(K+1) times the product of the magnitudes."""
    a, b = map(wide, case.inputs)
    return [chained(np.matmul(a, b), np.matmul(np.abs(a), np.abs(b)), a.shape[-1] + 1, case.inputs[0].dtype)]


@oracle("FusedMatMul")
def fused_matmul(case: Case) -> list[Expected | None]:
    """MatMul's bound, the rounding of its result, and one multiplication."""
    a, b = (
        transposed(wide(x), case.attributes.get(f"trans{x_name}", 0), case.attributes.get(f"transBatch{x_name}", 0))
        for x, x_name in zip(case.inputs, "AB", strict=True)
    )
    dtype, alpha = case.inputs[0].dtype, WIDE(np.float32(case.attributes.get("alpha", 1.0)))
    product = chained(np.matmul(a, b), np.matmul(np.abs(a), np.abs(b)), a.shape[-1] + 1, dtype)
    slack = bounded(product, dtype)
    top = float(finfo(dtype).max)
    slack = np.where(np.abs(product.exact) + slack > top, np.inf, np.abs(alpha) * slack)  # infinite before the factor
    exact = alpha * product.exact
    return [Expected(exact, slack + 1.1 * unit(dtype) * (np.abs(exact) + slack) + tiny(dtype))]


def transposed(x: Array, last_two: int, batch: int) -> Array:
    """The operand whose axes are named M, b.., K, in the order b.., M, K."""
    axes = list(range(x.ndim))
    if batch:
        axes = [*axes[1:-1], axes[0], axes[-1]]
    if last_two and x.ndim > 1:
        axes = [*axes[:-2], axes[-1], axes[-2]]
    return x.transpose(axes)


@oracle("Gemm")
def gemm(case: Case) -> list[Expected | None]:
    """As MatMul, with alpha, beta and the addend."""
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


moves("MatMulInteger")
