"""The fused multiply-add in NumPy, and chains of it (docs/numerics.md, section 2).

NumPy has no fused multiply-add, so `fma(a, b, c)` of binary32 is built from binary64. The product of two 24-bit
numbers has at most 48 bits and is exact there. The sum `s = rn64(p + c)` is rounded, and converting `s` to binary32
rounds a second time. Two roundings differ from one only when the first lands exactly on a midpoint between two
binary32 numbers although the exact sum lies beside it: the second rounding then breaks a tie that never was. A
midpoint is seen from the bits of `s`: its 29 bits below binary32's last one are a one and 28 zeros. (Below 2**-126
binary32 has fewer bits, so the midpoints lie elsewhere: every such `s` is taken for one.)

For these rare elements the sum is repaired: TwoSum gives the exact error `e` of `s`, and if `e` is not zero and the
last bit of `s` is even, `s` moves one unit towards `e`. The sum is then *rounded to odd*, and an odd 53-bit number is
no midpoint: rounding it to 24 bits is rounding the exact sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from diptych_reference.numerics.conversion import Array

Operand = Array | np.generic  # a NumPy scalar is an array of no axes

TILE = 1 << 15  # elements worked on at once: the binary64 temporaries of a tile stay in the second-level cache
SMALLEST_NORMAL = np.float32(2.0**-126)


def fma(a: Operand, b: Operand, c: Operand) -> Array:
    """`a * b + c`, broadcast, in the dtype of `c`.

    float32 is fused (rounded once), float64 multiplied then added, integers wrap. float16 and bfloat16 are widened by
    the caller (`widen`), because only he knows where the one rounding back is.
    """
    a, b, c = np.asarray(a), np.asarray(b), np.asarray(c)
    return fma_chain(a[None], b[None], c)


def fma_chain(a: Array, b: Array, acc: Array) -> Array:
    """`for k: acc = fma(a[k], b[k], acc)` along the first axis of `a` and `b`, in order; returns the last `acc`.

    `a[k]`, `b[k]` and `acc` broadcast together. The work goes tile by tile over the result with k inside, so that a
    tile's accumulators stay in the cache: each element has its own chain, and the order of elements does not matter.
    """
    a, b, acc = np.asarray(a), np.asarray(b), np.asarray(acc)
    if len(a) != len(b):
        raise ValueError(f"fma_chain: {len(a)} factors on the left, {len(b)} on the right")
    shape = np.broadcast_shapes(a.shape[1:], b.shape[1:], acc.shape)
    if acc.dtype not in (np.dtype(np.float32), np.dtype(np.float64)) and acc.dtype.kind not in "iu":
        raise TypeError(f"fma_chain: accumulates in float32, float64 or an integer type, not {acc.dtype}")
    result = np.array(np.broadcast_to(acc, shape or (1,)))
    rank = result.ndim
    a = a.reshape((len(a), *(1,) * (rank - a.ndim + 1), *a.shape[1:]))
    b = b.reshape((len(b), *(1,) * (rank - b.ndim + 1), *b.shape[1:]))
    chain = _chain_float32 if acc.dtype == np.float32 else _chain_two_roundings
    with np.errstate(all="ignore"):
        for tile in tiles(result.shape):
            chain(_part(a, tile), _part(b, tile), result[tile])
    return result.reshape(shape)


def tiles(shape: tuple[int, ...], size: int = TILE) -> Iterator[tuple[slice, ...]]:
    """Boxes of about `size` elements that cover `shape`, in row-major order."""
    axis, inner = len(shape), 1  # the axes from `axis` on fit into one tile
    while axis > 0 and inner * shape[axis - 1] <= size:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield tuple(slice(0, n) for n in shape)
        return
    rows = max(1, size // max(inner, 1))
    for outer in np.ndindex(*shape[: axis - 1]):
        for start in range(0, shape[axis - 1], rows):
            yield (*(slice(i, i + 1) for i in outer), slice(start, start + rows), *(slice(0, n) for n in shape[axis:]))


def _part(x: Array, tile: tuple[slice, ...]) -> Array:
    """The part of `x` (first axis k, then axes that broadcast to the result's) that a tile of the result needs."""
    return x[(slice(None), *(s if n != 1 else slice(None) for s, n in zip(tile, x.shape[1:], strict=True)))]


def _chain_two_roundings(a: Array, b: Array, acc: Array) -> None:
    """float64 (multiply, round, add, round) and integers (wrapping), in place."""
    a, b = a.astype(acc.dtype, copy=False), b.astype(acc.dtype, copy=False)
    for k in range(len(a)):
        acc += a[k] * b[k]


def _chain_float32(a: Array, b: Array, acc: Array) -> None:
    """The binary32 chain of one tile, in place."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    product = np.empty(acc.shape)
    total = np.empty(acc.shape)
    narrow = np.empty(acc.shape, np.float32)
    addend = acc.astype(np.float64)
    for k in range(len(a)):
        np.multiply(a[k], b[k], out=product)
        np.add(product, addend, out=total)
        np.copyto(narrow, total, casting="same_kind")
        _repair(product, addend, total, narrow)
        np.copyto(addend, narrow)
    if len(a):
        acc[...] = narrow


def _repair(product: Array, addend: Array, total: Array, narrow: Array) -> None:
    """Correct `narrow`, the binary32 of `total = rn64(product + addend)`, where rounding twice is not rounding once."""
    suspect = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000  # the 29 bits below binary32's last one
    tiny = np.abs(narrow) <= SMALLEST_NORMAL
    if tiny.any():
        suspect |= tiny & (total != 0)  # a sum is zero only if it is exact
    where = np.flatnonzero(suspect)
    if where.size:
        p, c, s = product.ravel()[where], addend.ravel()[where], total.ravel()[where]
        narrow.ravel()[where] = round_to_odd_sum(p, c, s).astype(np.float32)


def round_to_odd_sum(p: Array, c: Array, s: Array) -> Array:
    """The exact sum p + c rounded to odd in binary64, where `s = rn64(p + c)`."""
    t = s - p
    error = (p - (s - t)) + (c - t)  # Knuth's TwoSum: s + error == p + c, exactly
    bits = s.view(np.int64)
    even = bits & 1 == 0
    inexact = (error < 0) | (error > 0)  # an infinite or NaN s has a NaN error: no move
    away = np.signbit(error) == np.signbit(s)  # towards error is away from zero: one up in the bit pattern
    moved: Array = np.where(even & inexact, bits + np.where(away, 1, -1), bits)
    return moved.view(np.float64)
