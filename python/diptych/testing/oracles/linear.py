"""Oracles of Einsum and Det."""

from __future__ import annotations

import math

import mpmath
import numpy as np

from diptych.testing import Case
from diptych.testing.oracles.base import WIDE, Expected, chained, lane_depth, oracle, own_unit, spacing, wide
from diptych.testing.values import Array


@oracle("Einsum")
def einsum(case: Case) -> list[Expected | None]:
    """NumPy's in long double. Each pair adds a chain or a lane sum over some letters: their lengths bound its depth."""
    equation = case.attributes["equation"].replace(" ", "")
    operands = [wide(x) for x in case.inputs]
    exact = np.asarray(np.einsum(equation, *operands, optimize=True))
    magnitude = np.asarray(np.einsum(equation, *map(np.abs, operands), optimize=True))
    longest = max((n for x in operands for n in x.shape), default=1)
    letters = len({c for c in equation if c.isalpha()})
    depth = len(operands) + sum(x.ndim for x in operands) + longest ** min(letters, 3)
    dtype = case.inputs[0].dtype
    # A partial product may overflow, or lose bits below the least normal number, before the others bring it back.
    parts = np.asarray(math.prod(float(np.max(np.abs(x), initial=1)) for x in operands) * max(depth, 1))
    slack = chained(exact, magnitude, depth + lane_depth(max(depth, 1)), dtype).slack
    small = float(spacing(WIDE(0), np.float64 if dtype == np.float64 else np.float32)) * depth * parts
    return [Expected(exact, np.where(parts > 1e30 if dtype != np.float64 else parts > 1e300, np.inf, slack + small))]


@oracle("Det")
def det(case: Case) -> list[Expected | None] | None:
    """mpmath's, for sizes up to 5. Elimination with pivots errs by growth times the product of the rows' sizes."""
    x = case.inputs[0]
    size = x.shape[-1]
    if size > 5 or not np.isfinite(wide(x)).all():
        return None
    matrices = wide(x).reshape((math.prod(x.shape[:-2]), size, size))
    exact = np.array([exact_det(matrix) for matrix in matrices], WIDE).reshape(x.shape[:-2])
    rows = np.maximum(np.sqrt((matrices * matrices).sum(axis=2)), WIDE(1e-300)).prod(axis=1).reshape(x.shape[:-2])
    slack = rows * WIDE(own_unit(x.dtype, 2.0**-53)) * 8 * size**3
    slack = np.where(rows > 1e290, np.inf, slack)
    return [Expected(exact, slack + spacing(exact, np.float64 if x.dtype == np.float64 else np.float32))]


def exact_det(matrix: Array) -> np.longdouble:
    """The determinant with 400 bits, by cofactors."""
    with mpmath.workprec(400):
        value = cofactors([[mpmath.mpf(float(x)) for x in row] for row in matrix])
        high = float(value)
        return WIDE(high) + WIDE(float(value - high)) if math.isfinite(high) else WIDE(high)


def cofactors(rows: list[list[mpmath.mpf]]) -> mpmath.mpf:
    """The determinant along the first row."""
    if not rows:
        return mpmath.mpf(1)
    minors = ([row[:j] + row[j + 1 :] for row in rows[1:]] for j in range(len(rows)))
    return mpmath.fsum((-1) ** j * rows[0][j] * cofactors(minor) for j, minor in enumerate(minors))
