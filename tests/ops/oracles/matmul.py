"""Oracles of matrix products."""

from __future__ import annotations

import numpy as np
from tests.ops.oracles.base import WIDE, Expected, chained, moves, oracle, wide

from diptych.testing import Case


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


moves("MatMulInteger")
