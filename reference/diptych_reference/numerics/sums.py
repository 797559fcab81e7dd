"""Sums and products in an order that every vector width can follow (docs/numerics.md, section 2).

Floating-point addition is not associative, so "the sum" needs an order. A lane sum deals its terms to sixteen lanes
as one deals cards, adds each lane's terms one after the other and combines the lanes by a tree. That is what a loop
over vectors of sixteen numbers does, and narrower vectors do the same with two or four of them. Chunks of 4096 terms
keep the error of long sums small: the error grows with the length of the longest chain of additions, here 256 + 4 for
each level.
"""

from __future__ import annotations

import math

import numpy as np

from diptych_reference.numerics.conversion import Array, widen

LANES = 16
CHUNK = 4096


def lane_sum(x: Array, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """The lane sum of `x` over `axes` (None: all), taken in logical row-major order as one index. Empty: +0.

    float16 and bfloat16 widen to float32, and the result stays float32. Integers wrap.
    """
    return _reduce(np.add, -0.0, 0, x, axes, keepdims)


def lane_product(x: Array, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """As `lane_sum`, with multiplication. Empty: 1."""
    return _reduce(np.multiply, 1.0, 1, x, axes, keepdims)


def sequential_sum(x: Array, axis: int) -> Array:
    """`acc = x[0]; acc = acc + x[1]; …` along `axis`: every partial sum, in the shape of `x`, as CumSum asks for.

    float16 and bfloat16 widen to float32, and the result stays float32. Integers wrap.
    """
    return _partial(np.add, x, axis)


def sequential_product(x: Array, axis: int) -> Array:
    """As `sequential_sum`, with multiplication: every partial product."""
    return _partial(np.multiply, x, axis)


def _partial(operation: np.ufunc, x: Array, axis: int) -> Array:
    terms = np.moveaxis(widen(x), axis, 0)
    partial = np.array(terms)
    with np.errstate(all="ignore"):
        for k in range(1, len(terms)):
            partial[k] = operation(partial[k - 1], terms[k])
    return np.moveaxis(partial, 0, axis)


def _reduce(
    operation: np.ufunc, pad: float, empty: int, x: Array, axes: tuple[int, ...] | None, keepdims: bool
) -> Array:
    """Brings the reduced axes to the front as one index, reduces, restores the shape."""
    rank = x.ndim
    reduced = sorted({axis % rank for axis in axes}) if axes is not None else list(range(rank))
    kept = [axis for axis in range(rank) if axis not in reduced]
    shape = tuple(1 if axis in reduced else n for axis, n in enumerate(x.shape) if keepdims or axis not in reduced)
    count = math.prod(x.shape[axis] for axis in reduced)
    rest = tuple(x.shape[axis] for axis in kept)
    terms = np.transpose(widen(x), reduced + kept).reshape((count, *rest))
    with np.errstate(all="ignore"):
        if count == 0:
            result = np.full(rest, empty, terms.dtype)
        elif terms.dtype.kind in "iub":
            result = np.asarray(operation.reduce(terms, axis=0, dtype=terms.dtype))  # wraps: the order does not matter
        else:
            result = _lanes(operation, pad, terms)
    return result.reshape(shape)


def _lanes(operation: np.ufunc, pad: float, terms: Array) -> Array:
    """The lane reduction of `terms` [n, …] over its first axis, n > 0.

    Lanes without a term take no part. Padding them with -0 (for products: 1) says the same: x + -0 is x for every x.
    """
    count, rest = len(terms), terms.shape[1:]
    chunks = -(-count // CHUNK)
    rows = -(-min(count, CHUNK) // LANES)  # terms a lane gets in a chunk
    padded = np.full((chunks * rows * LANES, *rest), pad, terms.dtype)
    padded[:count] = terms
    dealt = padded.reshape((chunks, rows, LANES, *rest))
    lanes = dealt[:, 0]  # [chunks, LANES, …]
    for row in range(1, rows):
        lanes = operation(lanes, dealt[:, row])
    for half in (8, 4, 2, 1):
        lanes = operation(lanes[:, :half], lanes[:, half : 2 * half])
    sums: Array = lanes[:, 0]
    return sums[0] if chunks == 1 else _lanes(operation, pad, sums)
